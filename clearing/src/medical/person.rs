//! 9001 sign-in, 1101 person, 2201 registration.

use super::{Done, Refused, check_region, input};
use crate::clock::age_on;
use crate::house::House;
use crate::store::{MessageKey, PersonKey, PersonRow, Store};
use card_spec::id::{CitizenId, Pan};
use clearing_api::national::{
    BaseInfo, CERT_E_CERTIFICATE, CERT_ID_CARD, CERT_SOCIAL_CARD, IdetInfo, InsuInfo, Person,
    PersonData, PersonOutput, Register, RegisterOutput, Registered, Request, SignIn, SignInOutput,
    SignInResult, inf_time,
};
use clearing_api::registry::Insured;

impl<S: Store> House<S> {
    pub(super) async fn sign_in(&self, request: &Request) -> Done<String> {
        let sign_in: SignIn = match input(request) {
            Ok(input) => input,
            Err(refused) => return Ok(Err(refused)),
        };
        let now = self.clock.now();
        let number = self
            .store
            .sign_in(&request.fixmedins_code, &sign_in.sign_in.opter_no, now)
            .await?;
        let output = SignInOutput {
            signinoutb: SignInResult {
                sign_time: inf_time(now),
                sign_no: format!("{number:012}"),
            },
        };
        self.success(request, &output).map(Ok)
    }

    pub(super) async fn person(&self, request: &Request) -> Done<String> {
        let person: Person = match input(request) {
            Ok(input) => input,
            Err(refused) => return Ok(Err(refused)),
        };
        let row = match self.identify(&person.data).await? {
            Ok(row) => row,
            Err(refused) => return Ok(Err(refused)),
        };
        let insured = &row.insured;
        let birth = insured.certno.birth().ok();
        let output = PersonOutput {
            baseinfo: BaseInfo {
                psn_no: insured.psn_no.clone(),
                certno: insured.certno.to_string(),
                psn_name: insured.name.clone(),
                gend: if insured.certno.is_male() { "1" } else { "2" }.to_owned(),
                brdy: birth.map(|date| date.to_string()).unwrap_or_default(),
                age: birth.map_or(0, |date| u16::from(age_on(date, self.today()))),
            },
            insuinfo: vec![insurance(&row)],
            idetinfo: identities(insured),
        };
        self.success(request, &output).map(Ok)
    }

    /// Who a certificate belongs to. The card only proves identity: everything else comes from the
    /// registry.
    async fn identify(&self, data: &PersonData) -> Done<PersonRow> {
        let row = match data.mdtrt_cert_type.as_str() {
            CERT_E_CERTIFICATE | CERT_ID_CARD => {
                let Ok(certno) = data.mdtrt_cert_no.parse::<CitizenId>() else {
                    return Ok(Err(Refused::new(
                        "证件号码错误 (mdtrt_cert_no is not an identity number)",
                    )));
                };
                self.store.insured(PersonKey::CertNo(&certno)).await?
            }
            CERT_SOCIAL_CARD => {
                let Ok(pan) = data.mdtrt_cert_no.parse::<Pan>() else {
                    return Ok(Err(Refused::new(
                        "卡号错误 (mdtrt_cert_no is not a 20-digit card number)",
                    )));
                };
                if let Err(refused) = self.check_card(pan, data.card_sn.as_deref()).await? {
                    return Ok(Err(refused));
                }
                self.store.insured(PersonKey::Card(pan)).await?
            }
            _ => {
                return Ok(Err(Refused::new(
                    "mdtrt_cert_type错误 (01 e-certificate, 02 identity card, 03 social-security card)",
                )));
            }
        };
        let Some(row) = row else {
            return Ok(Err(Refused::new(
                "未找到参保人 (no insured person with this certificate): check the number",
            )));
        };
        let insured = &row.insured;
        let other_name = data
            .psn_name
            .as_ref()
            .is_some_and(|name| *name != insured.name);
        let other_number = data
            .certno
            .as_ref()
            .is_some_and(|certno| !certno.eq_ignore_ascii_case(insured.certno.as_str()));
        if other_name || other_number {
            return Ok(Err(Refused::new(
                "姓名或证件号码与登记不符 (name or identity number differ from the registry)",
            )));
        }
        Ok(Ok(row))
    }

    async fn check_card(&self, pan: Pan, card_sn: Option<&str>) -> Done<()> {
        let Some(card_sn) = card_sn else {
            return Ok(Err(Refused::new(
                "缺少card_sn (required with certificate type 03: the card's generation)",
            )));
        };
        Ok(match self.store.card(pan).await? {
            None => Err(Refused::new("卡未发行 (the card was never handed out)")),
            Some((card, _)) if card_sn.parse() != Ok(card.generation.0) => Err(Refused::new(
                "card_sn不符 (this is not the present generation of the card)",
            )),
            Some((_, Some(_))) => Err(Refused::new(
                "卡已挂失或停用 (the card is hotlisted): keep it and call the issuer",
            )),
            Some((_, None)) => Ok(()),
        })
    }

    pub(super) async fn open_visit(&self, request: &Request, key: &MessageKey) -> Done<String> {
        let register: Register = match input(request) {
            Ok(input) => input,
            Err(refused) => return Ok(Err(refused)),
        };
        let data = register.data;
        let identity = PersonData {
            mdtrt_cert_type: data.mdtrt_cert_type.clone(),
            mdtrt_cert_no: data.mdtrt_cert_no.clone(),
            card_sn: None,
            psn_name: None,
            certno: None,
        };
        let Some(row) = self.store.insured(PersonKey::PsnNo(&data.psn_no)).await? else {
            return Ok(Err(Refused::new("psn_no不存在 (ask 1101 first)")));
        };
        if let Err(refused) = check_region(request, row.insured.insuplc_admdvs) {
            return Ok(Err(refused));
        }
        if row.insured.insutype != data.insutype {
            return Ok(Err(Refused::new(format!(
                "险种不符 (insutype is {}, the person is insured under {})",
                data.insutype, row.insured.insutype
            ))));
        }
        if let Err(refused) = self.same_person(&identity, &row).await? {
            return Ok(Err(refused));
        }
        let known = self
            .rules
            .institutions
            .get(&request.fixmedins_code)
            .is_some_and(|institution| institution.city == request.mdtrtarea_admvs);
        if !known {
            return Ok(Err(Refused::new(
                "mdtrtarea_admvs不符 (the institution is not designated, or not in this region)",
            )));
        }
        let id = self
            .store
            .open_visit(
                &request.fixmedins_code,
                &data.psn_no,
                &data.insutype,
                request.mdtrtarea_admvs,
                &data.ipt_otp_no,
            )
            .await;
        let id = match id {
            Err(crate::error::ClearingError::Refused(why)) => {
                return Ok(Err(Refused::new(why.detail)));
            }
            other => other?,
        };
        let output = RegisterOutput {
            data: Registered {
                mdtrt_id: id.to_string(),
                psn_no: data.psn_no,
                ipt_otp_no: data.ipt_otp_no,
            },
        };
        let response = self.success(request, &output)?;
        self.store.remember(key, &response).await?;
        Ok(Ok(response))
    }

    /// The certificate of a registration belongs to its person. 2201 has no card_sn: 1101 checked it.
    async fn same_person(&self, identity: &PersonData, row: &PersonRow) -> Done<()> {
        let other = match identity.mdtrt_cert_type.as_str() {
            CERT_SOCIAL_CARD => match identity.mdtrt_cert_no.parse::<Pan>() {
                Ok(pan) => self.store.insured(PersonKey::Card(pan)).await?,
                Err(_) => None,
            },
            _ => match identity.mdtrt_cert_no.parse::<CitizenId>() {
                Ok(certno) => self.store.insured(PersonKey::CertNo(&certno)).await?,
                Err(_) => None,
            },
        };
        let same = other.is_some_and(|other| other.insured.psn_no == row.insured.psn_no);
        Ok(if same {
            Ok(())
        } else {
            Err(Refused::new(
                "证件与psn_no不符 (the certificate belongs to another person)",
            ))
        })
    }
}

fn insurance(row: &PersonRow) -> InsuInfo {
    let insured = &row.insured;
    InsuInfo {
        balc: row.account.into(),
        insutype: insured.insutype.clone(),
        psn_type: insured.psn_type.clone(),
        psn_insu_stas: "1".to_owned(),
        cvlserv_flag: if insured.civil_servant { "1" } else { "0" }.to_owned(),
        insuplc_admdvs: insured.insuplc_admdvs,
        emp_name: Some(insured.employer.clone()).filter(|name| !name.is_empty()),
    }
}

fn identities(insured: &Insured) -> Vec<IdetInfo> {
    let status = benefit::AssistanceStatus::MinimumLiving;
    insured
        .assistance
        .then(|| IdetInfo {
            psn_idet_type: status.code().to_owned(),
            psn_type_lv: "1".to_owned(),
        })
        .into_iter()
        .collect()
}
