//! SM2 signatures (GB/T 32918.2-2016, GM/T 0003.2-2012) with SM3 (GB/T 32905-2016): the field and
//! curve arithmetic is the `sm2` crate's, constant-time; the steps of the standard are here,
//! because the crate's own signer needs a heap.

use crate::{error::Error, nvm::Entropy};
use card_spec::pki::{COORDINATE, Digest, PUBLIC_KEY, SIGNATURE, Z_CONSTANTS};
use sm2::{
    FieldBytes, ProjectivePoint, Scalar,
    elliptic_curve::{Group, PrimeField, ops::Reduce, point::AffineCoordinates, sec1::ToSec1Point},
};
use sm3::{Digest as _, Sm3};
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, Zeroizing};

/// Draws that one command makes at most: a sound generator needs a second one in 2^32 commands.
const DRAWS: u8 = 8;

/// A private key d with 1 <= d <= n-2.
pub(super) struct PrivateKey(Scalar);

impl Drop for PrivateKey {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl PrivateKey {
    /// Rejection sampling (GB/T 32918.1, 6.1): every admissible key is equally likely.
    pub(super) fn generate(entropy: &mut dyn Entropy) -> Result<Self, Error> {
        let mut bytes = Zeroizing::new([0; COORDINATE]);
        for _ in 0..DRAWS {
            entropy.fill(bytes.as_mut());
            if let Some(key) = Self::from_bytes(&bytes) {
                return Ok(key);
            }
        }
        Err(Error::MEMORY)
    }

    /// None for 0, n-1 and what is not below n: they are no keys.
    pub(super) fn from_bytes(bytes: &[u8; COORDINATE]) -> Option<Self> {
        let key = Self(Option::from(Scalar::from_repr(FieldBytes::from(*bytes)))?);
        let unfit = key.0.is_zero() | (key.0 + Scalar::ONE).is_zero();
        (!bool::from(unfit)).then_some(key)
    }

    pub(super) fn to_bytes(&self) -> Zeroizing<[u8; COORDINATE]> {
        Zeroizing::new(self.0.to_repr().into())
    }

    /// The public key X | Y.
    pub(super) fn public(&self) -> Result<[u8; PUBLIC_KEY], Error> {
        let point = ProjectivePoint::mul_by_generator(&self.0).to_affine();
        let sec1 = point.to_sec1_point(false);
        let (_, xy) = sec1.as_bytes().split_first().ok_or(Error::MEMORY)?;
        xy.try_into().map_err(|_| Error::MEMORY)
    }

    /// The signature r | s of a digest.
    ///
    /// k is not the generator's output but a hash of key, digest and that output: a generator that
    /// repeats itself or stands still then costs no key, because different digests still get
    /// unrelated k; and with a sound one k is as random as before.
    pub(super) fn sign(
        &self,
        digest: &Digest,
        entropy: &mut dyn Entropy,
    ) -> Result<[u8; SIGNATURE], Error> {
        let mut chance = Zeroizing::new([0; COORDINATE]);
        for draw in 0..DRAWS {
            entropy.fill(chance.as_mut());
            let key = self.to_bytes();
            let mut hash = Sm3::new();
            hash.update(*b"SM2 k");
            hash.update([draw]);
            hash.update(key.as_ref());
            hash.update(digest);
            hash.update(chance.as_ref());
            let blended = Zeroizing::new(<[u8; COORDINATE]>::from(hash.finalize()));
            let k: Option<Scalar> = Scalar::from_repr(FieldBytes::from(*blended)).into();
            if let Some(mut k) = k {
                let signature = self.sign_with(digest, &k);
                k.zeroize();
                if signature.is_some() {
                    return signature.ok_or(Error::MEMORY);
                }
            }
        }
        Err(Error::MEMORY)
    }

    /// GB/T 32918.2, 6.1, A4 to A7. None when this k must not be used.
    fn sign_with(&self, digest: &Digest, k: &Scalar) -> Option<[u8; SIGNATURE]> {
        let e = <Scalar as Reduce<FieldBytes>>::reduce(&FieldBytes::from(*digest));
        let point = ProjectivePoint::mul_by_generator(k).to_affine();
        let r = e + <Scalar as Reduce<FieldBytes>>::reduce(&point.x());
        let inverse: Option<Scalar> = (self.0 + Scalar::ONE).invert().into();
        let mut inverse = inverse?;
        let s = inverse * (*k - r * self.0);
        inverse.zeroize();
        let unfit = k.is_zero() | r.is_zero() | (r + *k).ct_eq(&Scalar::ZERO) | s.is_zero();
        if unfit.into() {
            return None;
        }
        let mut out = [0; SIGNATURE];
        let (left, right) = out.split_at_mut(COORDINATE);
        left.copy_from_slice(&r.to_repr());
        right.copy_from_slice(&s.to_repr());
        Some(out)
    }
}

/// A message on its way into a digest e = SM3(Z | M).
pub(crate) struct Hashing(Sm3);

impl Hashing {
    /// Begins with Z of the signer (GB/T 32918.2, 5.5): SM3 over the default user id, the curve and
    /// the public key.
    pub(super) fn begin(public: &[u8; PUBLIC_KEY]) -> Self {
        let mut z = Sm3::new();
        z.update(Z_CONSTANTS);
        z.update(public);
        let mut message = Sm3::new();
        message.update(z.finalize());
        Self(message)
    }

    pub(super) fn add(&mut self, part: &[u8]) {
        self.0.update(part);
    }

    pub(super) fn end(self) -> Digest {
        self.0.finalize().into()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use hex_literal::hex;

    /// GB/T 32918.5-2017, annex A (GM/T 0003.5-2012): key, k and signature of "message digest".
    const SECRET: [u8; 32] =
        hex!("3945208F7B2144B13F36E38AC6D39F95889393692860B51A42FB81EF4DF7C5B8");
    const PUBLIC: [u8; 64] = hex!(
        "09F9DF311E5421A150DD7D161E4BC5C672179FAD1833FC076BB08FF356F35020"
        "CCEA490CE26775A52DC6EA718CC1AA600AED05FBF35E084A6632F6072DA9AD13"
    );
    const E: [u8; 32] = hex!("F0B43E94BA45ACCAACE692ED534382EB17E6AB5A19CE7B31F4486FDFC0D28640");
    const K: [u8; 32] = hex!("59276E27D506861A16680F3AD9C02DCCEF3CC1FA3CDBE4CE6D54B80DEAC1BC21");
    const SIGNATURE: [u8; 64] = hex!(
        "F5A03B0648D2C4630EEAC513E1BB81A15944DA3827D5B74143AC7EACEEE720B3"
        "B1B6AA29DF212FD8763182BC0D421CA1BB9038FD1F7F42D4840B69C485BBC1AA"
    );
    /// GB/T 32918.5: the order n of the base point.
    const ORDER: [u8; 32] =
        hex!("FFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFF7203DF6B21C6052B53BBF40939D54123");

    /// Always the same, as a broken generator.
    struct Still(u8);

    impl Entropy for Still {
        fn fill(&mut self, out: &mut [u8]) {
            out.fill(self.0);
        }
    }

    #[test]
    fn sm3_of_the_standard() {
        // GB/T 32905-2016, A.1 and A.2.
        let abc = hex!("66C7F0F462EEEDD9D1F2D46BDC10E4E24167C4875CF2F7A2297DA02B8F4BA8E0");
        assert_eq!(Sm3::digest(b"abc")[..], abc);
        let abcd16 = hex!("DEBE9FF92275B8A138604889C18E5A4D6FDB70E5387E5765293DCBA39C0C5732");
        assert_eq!(Sm3::digest([*b"abcd"; 16].as_flattened())[..], abcd16);
    }

    #[test]
    fn signature_of_the_standard() {
        let key = PrivateKey::from_bytes(&SECRET).unwrap();
        assert_eq!(key.public().unwrap(), PUBLIC);
        let mut message = Hashing::begin(&PUBLIC);
        message.add(b"message ");
        message.add(b"digest");
        assert_eq!(message.end(), E);
        let k = Scalar::from_repr(K.into()).unwrap();
        assert_eq!(key.sign_with(&E, &k), Some(SIGNATURE));
        assert_eq!(key.sign_with(&E, &Scalar::ZERO), None);
    }

    #[test]
    fn no_key_and_no_loop_without_chance() {
        let mut last = ORDER;
        last[31] -= 1;
        for unfit in [[0; 32], last, ORDER, [0xFF; 32]] {
            assert!(PrivateKey::from_bytes(&unfit).is_none());
        }
        last[31] -= 1;
        assert!(PrivateKey::from_bytes(&last).is_some());
        for broken in [0x00, 0xFF] {
            assert!(PrivateKey::generate(&mut Still(broken)).is_err());
        }
    }

    #[test]
    fn a_generator_that_stands_still_costs_no_key() {
        let key = PrivateKey::from_bytes(&SECRET).unwrap();
        let mut other = E;
        other[0] ^= 1;
        // r = e + x(kG): the same k would show the difference of the two digests.
        let scalar = |bytes: &[u8]| {
            let bytes: [u8; 32] = bytes.try_into().unwrap();
            <Scalar as Reduce<FieldBytes>>::reduce(&bytes.into())
        };
        let of = |digest| {
            let signature = key.sign(digest, &mut Still(0)).unwrap();
            scalar(&signature[..32]) - scalar(digest)
        };
        assert_ne!(of(&E), of(&other));
        assert_eq!(of(&E), of(&E));
    }
}
