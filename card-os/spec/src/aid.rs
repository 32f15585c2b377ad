//! Application identifiers and DF names.

/// SSSE DDF name: "sx1.sh." and 社会保障 in GB 2312.
pub const SSSE: &[u8] = &[
    0x73, 0x78, 0x31, 0x2E, 0x73, 0x68, 0x2E, 0xC9, 0xE7, 0xBB, 0xE1, 0xB1, 0xA3, 0xD5, 0xCF,
];
/// Public area DF01.
pub const SSSE_PUBLIC: &[u8] = &[0xD1, 0x56, 0x00, 0x00, 0x05, 0x00];
/// Employment DF02.
pub const SSSE_EMPLOYMENT: &[u8] = &[0xD1, 0x56, 0x00, 0x00, 0x05, 0x01];
/// Social insurance 1, DF03.
pub const SSSE_INSURANCE: &[u8] = &[0xD1, 0x56, 0x00, 0x00, 0x05, 0x02];
/// Social insurance 2, DF04: the medical application with its purse.
pub const SSSE_MEDICAL: &[u8] = &[0xD1, 0x56, 0x00, 0x00, 0x05, 0x03];
/// Personnel DF05.
pub const SSSE_PERSONNEL: &[u8] = &[0xD1, 0x56, 0x00, 0x00, 0x05, 0x04];
/// Health data 健康信息: the resident health card has no public AID, so this is a proprietary,
/// unregistered one (ISO 7816-5, category F): `F0` and "OCHEALTH".
pub const HEALTH: &[u8] = &[0xF0, b'O', b'C', b'H', b'E', b'A', b'L', b'T', b'H'];
/// PKI application of third-generation cards: "PKI." and 社会保障 in GB 2312.
pub const PKI: &[u8] = &[
    0x50, 0x4B, 0x49, 0x2E, 0xC9, 0xE7, 0xBB, 0xE1, 0xB1, 0xA3, 0xD5, 0xCF,
];
/// The DF of the PKI application that has its key and its files.
pub const PKI_CERTIFICATES: &[u8] = b"SS.CERT.ADF1";
/// SAM application of the social-security side (PSAM for SSSE and medical).
pub const SSSE_SAM: &[u8] = &[0xD1, 0x56, 0x00, 0x00, 0x05, 0x90];
/// T-Union (交通联合) purse.
pub const T_UNION: &[u8] = &[0xA0, 0x00, 0x00, 0x06, 0x32, 0x01, 0x01, 0x05];
/// DF name of the T-Union SAM application.
pub const T_UNION_SAM: &[u8] = &[
    0x10, 0xA0, 0x00, 0x00, 0x06, 0x32, 0x4D, 0x4F, 0x54, 0x2E, 0x43, 0x50, 0x53, 0x41, 0x4D, 0x30,
    0x31,
];
/// FID under which readers select the SAM application (`00A40000028011`).
pub const SAM_FID: u16 = 0x8011;
/// Payment system directory, contact.
pub const PSE: &[u8] = b"1PAY.SYS.DDF01";
/// Payment system directory, contactless.
pub const PPSE: &[u8] = b"2PAY.SYS.DDF01";
/// GlobalPlatform issuer security domain.
pub const ISD: &[u8] = &[0xA0, 0x00, 0x00, 0x01, 0x51, 0x00, 0x00, 0x00];
