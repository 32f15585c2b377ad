//! The national designated-institution interface: one address, one message a call.
//!
//! Calls that change something are idempotent on msgid: the same message again gets the first
//! answer. A refusal is infcode -1 with an err_msg that says what to do, and changes nothing.

mod answer;
mod bill;
mod person;

use crate::clock::local;
use crate::error::Result;
use crate::house::House;
use crate::ingest::digest;
use crate::store::{MessageKey, Store};
use card_spec::id::RegionCode;
use clearing_api::national::{
    Credentials, Input, Lines, Person, PreSettle, Register, Request, Response, Reverse, Settle,
    SignIn, VERSION, WINDOW_MS,
};
use serde::Serialize;

/// An institution's keys, from configuration.
#[derive(Debug, Clone)]
pub struct HospitalKey {
    /// Institution code.
    pub institution: String,
    /// Access key and secret key.
    pub credentials: Credentials,
}

/// The headers of a call.
#[derive(Debug, Clone, Default)]
pub struct CallHeaders {
    /// `_api_name`.
    pub name: String,
    /// `_api_version`.
    pub version: String,
    /// `_api_timestamp`.
    pub timestamp: String,
    /// `_api_access_key`.
    pub access_key: String,
    /// `_api_signature`.
    pub signature: String,
}

/// What goes back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// A response envelope, JSON.
    Answer(String),
    /// The signature, the time window or the access key is wrong: HTTP 401 with this message.
    Unauthorised(&'static str),
}

/// Why a call is refused: err_msg.
pub(crate) struct Refused(pub(crate) String);

impl Refused {
    pub(crate) fn new(why: impl Into<String>) -> Self {
        Self(why.into())
    }
}

/// A use case's end: done with output, refused, or the service failed.
pub(crate) type Done<T> = Result<core::result::Result<T, Refused>>;

impl<S: Store> House<S> {
    /// One call.
    pub async fn national_call(
        &self,
        keys: &[HospitalKey],
        headers: &CallHeaders,
        body: &[u8],
    ) -> Result<Reply> {
        let Some(key) = keys
            .iter()
            .find(|key| key.credentials.access_key == headers.access_key)
        else {
            return Ok(Reply::Unauthorised("access key未注册!"));
        };
        let timestamp = headers.timestamp.parse::<u64>();
        let (Ok(timestamp), 13) = (timestamp, headers.timestamp.len()) else {
            return Ok(Reply::Unauthorised("时间戳格式错误!"));
        };
        let signed = key.credentials.verify(
            &headers.name,
            &headers.version,
            timestamp,
            &headers.signature,
        );
        if !signed {
            return Ok(Reply::Unauthorised("签名不一致!"));
        }
        let now = u64::try_from(self.clock.now_ms()).unwrap_or(0);
        if now.abs_diff(timestamp) > WINDOW_MS {
            return Ok(Reply::Unauthorised("时间戳超时!"));
        }
        let request: Request = match serde_json::from_slice(body) {
            Ok(request) => request,
            Err(why) => {
                let why = format!("报文格式错误 (the envelope cannot be read): {why}");
                return Ok(Reply::Answer(self.failure(None, &why)));
            }
        };
        match self.dispatch(key, headers, &request).await? {
            Ok(text) => Ok(Reply::Answer(text)),
            Err(Refused(why)) => Ok(Reply::Answer(self.failure(Some(&request), &why))),
        }
    }

    async fn dispatch(
        &self,
        key: &HospitalKey,
        headers: &CallHeaders,
        request: &Request,
    ) -> Done<String> {
        if let Err(refused) = check_envelope(key, headers, request) {
            return Ok(Err(refused));
        }
        let _one_at_a_time = self.national.lock().await;
        let key = MessageKey {
            msgid: request.msgid.clone(),
            institution: request.fixmedins_code.clone(),
            hash: digest(format!("{}|{}", request.infno, request.input.get()).as_bytes()),
        };
        if let Some((hash, response)) = self.store.message(&key.msgid).await? {
            return Ok(if hash == key.hash {
                Ok(response)
            } else {
                Err(Refused::new(
                    "msgid已被其他报文使用 (this msgid belongs to another message): use a new one",
                ))
            });
        }
        match request.infno.as_str() {
            SignIn::INFNO => self.sign_in(request).await,
            Person::INFNO => self.person(request).await,
            Register::INFNO => self.open_visit(request, &key).await,
            Lines::INFNO => self.take_lines(request, &key).await,
            PreSettle::INFNO => self.pre_settle(request).await,
            Settle::INFNO => self.settle_bill(request, &key).await,
            Reverse::INFNO => self.reverse_bill(request, &key).await,
            other => Ok(Err(Refused::new(format!(
                "交易{other}不支持 (served: 9001 1101 2201 2204 2206 2207 2208)"
            )))),
        }
    }

    /// A success envelope around an output.
    pub(crate) fn success<T: Serialize>(&self, request: &Request, output: &T) -> Result<String> {
        let output = serde_json::value::to_raw_value(output).map_err(|why| damaged(&why))?;
        let mut response = self.envelope(Some(request));
        response.output = Some(output);
        serde_json::to_string(&response).map_err(|why| damaged(&why))
    }

    fn failure(&self, request: Option<&Request>, why: &str) -> String {
        let response = Response {
            infcode: -1,
            err_msg: Some(why.chars().take(200).collect()),
            ..self.envelope(request)
        };
        serde_json::to_string(&response).unwrap_or_default()
    }

    fn envelope(&self, request: Option<&Request>) -> Response {
        let ms = self.clock.now_ms();
        let digits: String = local(ms)
            .to_string()
            .chars()
            .filter(char::is_ascii_digit)
            .collect();
        let time = format!("{digits}{:03}", ms.rem_euclid(1_000));
        Response {
            infcode: 0,
            inf_refmsgid: request.map(|request| request.msgid.clone()),
            refmsg_time: Some(time.clone()),
            respond_time: Some(time),
            err_msg: None,
            output: None,
        }
    }
}

fn damaged(why: &serde_json::Error) -> crate::error::ClearingError {
    crate::error::ClearingError::Damaged {
        what: "answer",
        why: why.to_string(),
    }
}

fn check_envelope(
    key: &HospitalKey,
    headers: &CallHeaders,
    request: &Request,
) -> core::result::Result<(), Refused> {
    if request.infno != headers.name || headers.version != VERSION {
        return Err(Refused::new(
            "infno与_api_name不一致 (infno and the signed _api_name, or the version 1.0.0, differ)",
        ));
    }
    if request.fixmedins_code != key.institution {
        return Err(Refused::new(
            "fixmedins_code与access key不符 (the access key belongs to another institution)",
        ));
    }
    let digits = request.msgid.get(12..).unwrap_or_default();
    let shaped = request.msgid.len() == 30
        && request.msgid.starts_with(&request.fixmedins_code)
        && digits.bytes().all(|b| b.is_ascii_digit());
    if !shaped {
        return Err(Refused::new(
            "msgid格式错误 (msgid is institution 12 + yyyyMMddHHmmss + sequence 4)",
        ));
    }
    Ok(())
}

/// The content of a call, or why it cannot be read.
pub(crate) fn input<I: Input>(request: &Request) -> core::result::Result<I, Refused> {
    request
        .input::<I>()
        .map_err(|why| Refused::new(format!("input格式错误: {why}")))
}

/// The insuring region that the envelope names must be the person's.
pub(crate) fn check_region(
    request: &Request,
    registered: RegionCode,
) -> core::result::Result<(), Refused> {
    match request.insuplc_admdvs {
        Some(named) if named == registered => Ok(()),
        Some(named) => Err(Refused::new(format!(
            "参保地不符 (insuplc_admdvs is {named}, the person is insured in {registered})"
        ))),
        None => Err(Refused::new(
            "缺少insuplc_admdvs (required whenever psn_no is sent; 1101 tells it)",
        )),
    }
}
