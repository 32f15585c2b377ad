//! Blocking client of the clearing house, for devices, issuance, hospitals and staff tools.

use crate::{
    Problem, SIGNATURE_HEADER,
    day::{CardShadow, DayReport},
    national,
    parameters::{ParametersAnswer, ParametersRequest, Proposal, Proposed},
    pension::Pension,
    record::BatchAnswer,
    registry::{Card, Device, Hotlist, HotlistEntry, Insured, ListCard, Operator, Sam},
    tls::{self, Identity, Tls, TlsError},
    topup::{TopUp, TopUpGrant},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use card_spec::{id::Pan, time::CardDate};
use ed25519_dalek::{Signer, SigningKey};
use serde::{Serialize, de::DeserializeOwned};
use std::time::Duration;

/// Largest answer read, in bytes.
const MAX_ANSWER: u64 = 64 * 1024 * 1024;

/// Why a call gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody answers there. Nothing is known of what became of the request: send it again, every
    /// call is safe to repeat.
    #[error(
        "the clearing house does not answer at {address}: {why}. Is `onecard clearing serve` running there?"
    )]
    Unreachable {
        /// Address tried.
        address: String,
        /// What the network said.
        why: String,
    },
    /// One end does not trust the other's certificate. Nothing is known of what became of the request,
    /// as above.
    #[error("{address}: {why}")]
    Untrusted {
        /// Address tried.
        address: String,
        /// Who does not trust whom, and what to do.
        why: String,
    },
    /// It answered that it will not.
    #[error("the clearing house refused ({}): {}", .0.code, .0.detail)]
    Refused(Box<Problem>),
    /// It answered something that this client does not understand.
    #[error("{address} answered something that is not the clearing house's protocol: {why}")]
    Protocol {
        /// Address.
        address: String,
        /// What was wrong.
        why: String,
    },
}

impl ClientError {
    /// Whether the clearing house gave no answer at all: it is away, or an end is not trusted.
    pub const fn is_no_answer(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Untrusted { .. })
    }
}

/// The clearing house at one address.
#[derive(Clone)]
pub struct Client {
    base: String,
    token: Option<String>,
    agent: ureq::Agent,
}

impl core::fmt::Debug for Client {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Client").field("base", &self.base).finish()
    }
}

/// Signs a body (a batch, a top-up request or confirmation) with a device's key.
pub fn sign_body(key: &SigningKey, body: &[u8]) -> [u8; 64] {
    key.sign(body).to_bytes()
}

impl Client {
    /// A client over plain HTTP on this machine, e.g. `http://127.0.0.1:7801`. Connections are kept
    /// open.
    pub fn new(base: &str) -> Self {
        Self::with(base, None)
    }

    /// A client of an `https` address with its certificate, or of an `http` address without.
    pub fn open(base: &str, tls: Option<&Tls>) -> Result<Self, TlsError> {
        match (base.starts_with("https://"), tls) {
            (true, Some(tls)) => Ok(Self::with(base, Some(&tls.load()?))),
            (false, None) => Ok(Self::with(base, None)),
            (true, None) => Err(TlsError::Missing(base.to_owned())),
            (false, Some(_)) => Err(TlsError::Plain(base.to_owned())),
        }
    }

    fn with(base: &str, identity: Option<&Identity>) -> Self {
        let agent = ureq::Agent::new_with_config(
            ureq::Agent::config_builder()
                .http_status_as_error(false)
                .tls_config(tls::client(identity))
                .timeout_connect(Some(Duration::from_secs(5)))
                .timeout_global(Some(Duration::from_secs(60)))
                .build(),
        );
        Self {
            base: base.trim_end_matches('/').to_owned(),
            token: None,
            agent,
        }
    }

    /// With a role's token, for the registry, the close, statements and hotlist writes.
    #[must_use]
    pub fn with_token(mut self, token: &str) -> Self {
        self.token = Some(token.to_owned());
        self
    }

    /// The address.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// Uploads a signed batch ([`crate::Batch`] as JSON bytes, signed by [`sign_body`]).
    pub fn upload(&self, body: &[u8], signature: &[u8]) -> Result<BatchAnswer, ClientError> {
        self.signed("/v1/batches", body, signature)
    }

    /// Asks for a top-up ([`crate::topup::TopUpRequest`] as JSON bytes).
    pub fn top_up(&self, body: &[u8], signature: &[u8]) -> Result<TopUpGrant, ClientError> {
        self.signed("/v1/top-ups", body, signature)
    }

    /// Confirms a top-up ([`crate::topup::TopUpConfirm`] as JSON bytes, its `id` in the path).
    pub fn confirm_top_up(
        &self,
        id: u64,
        body: &[u8],
        signature: &[u8],
    ) -> Result<TopUp, ClientError> {
        self.signed(&format!("/v1/top-ups/{id}/confirm"), body, signature)
    }

    /// What changed in the hotlist after a version, signed; the whole list for 0, or for a version too
    /// far back ([`Hotlist::since`] says which it is).
    pub fn hotlist(&self, since: u64) -> Result<Hotlist, ClientError> {
        self.get(&format!("/v1/hotlist?since={since}"))
    }

    /// The file of a hotlist base ([`crate::hotlist::Base::read`] verifies it).
    pub fn hotlist_base(&self) -> Result<Vec<u8>, ClientError> {
        self.call("GET", "/v1/hotlist/base", &[], None)
    }

    /// Lists a card generation. Listing it again answers the first entry.
    pub fn list_card(&self, entry: &ListCard) -> Result<HotlistEntry, ClientError> {
        self.send("POST", "/v1/hotlist", &json(entry)?)
    }

    /// Proposes what another person must agree to.
    pub fn propose(&self, proposal: &Proposal) -> Result<Proposed, ClientError> {
        self.send("POST", "/v1/proposals", &json(proposal)?)
    }

    /// Agrees to another person's proposal, which is carried out.
    pub fn approve(&self, number: u64) -> Result<Proposed, ClientError> {
        self.send("POST", &format!("/v1/proposals/{number}/approval"), b"")
    }

    /// Asks for parameters and the time ([`ParametersRequest`] as JSON bytes).
    pub fn parameters(
        &self,
        body: &[u8],
        signature: &[u8],
    ) -> Result<ParametersAnswer, ClientError> {
        self.signed("/v1/parameters", body, signature)
    }

    /// What each device told last of its parameters and clock.
    pub fn parameter_reports(&self) -> Result<Vec<ParametersRequest>, ClientError> {
        self.get("/v1/parameters")
    }

    /// Registers a party.
    pub fn put_operator(&self, operator: &Operator) -> Result<Operator, ClientError> {
        self.put("operators", &operator.id, operator)
    }

    /// Registers a device and its upload key.
    pub fn put_device(&self, device: &Device) -> Result<Device, ClientError> {
        self.put("devices", &device.device.to_string(), device)
    }

    /// Registers a SAM.
    pub fn put_sam(&self, sam: &Sam) -> Result<Sam, ClientError> {
        self.put("sams", &sam.sam.to_string(), sam)
    }

    /// Registers a card that was handed out.
    pub fn put_card(&self, card: &Card) -> Result<Card, ClientError> {
        self.put("cards", &card.pan.to_string(), card)
    }

    /// Registers an insured person.
    pub fn put_insured(&self, insured: &Insured) -> Result<Insured, ClientError> {
        self.put("insured", &insured.psn_no, insured)
    }

    /// What clearing knows of a card.
    pub fn card(&self, pan: Pan) -> Result<CardShadow, ClientError> {
        self.get(&format!("/v1/cards/{pan}"))
    }

    /// A day as it stands: a preview while open, the final report once closed.
    pub fn day(&self, date: CardDate) -> Result<DayReport, ClientError> {
        self.get(&format!("/v1/days/{date}"))
    }

    /// Closes a day; closing it again answers the same report.
    pub fn close_day(&self, date: CardDate) -> Result<DayReport, ClientError> {
        self.send("POST", &format!("/v1/days/{date}/close"), b"")
    }

    /// The statement of one party for a closed day, CSV.
    pub fn statement(&self, date: CardDate, party: &str) -> Result<String, ClientError> {
        let path = format!("/v1/days/{date}/statements/{}", escape(party));
        let bytes = self.call("GET", &path, &[], None)?;
        String::from_utf8(bytes).map_err(|why| self.protocol(&why))
    }

    /// One person's pension.
    pub fn pension(&self, psn_no: &str) -> Result<Pension, ClientError> {
        self.get(&format!("/v1/pensions/{}", escape(psn_no)))
    }

    /// One call of the national interface. `timestamp_ms` is milliseconds since 1970 UTC. An
    /// infcode of -1 is an `Ok` here: the caller asks the response for its output.
    pub fn national(
        &self,
        credentials: &national::Credentials,
        request: &national::Request,
        timestamp_ms: u64,
    ) -> Result<national::Response, ClientError> {
        let timestamp = timestamp_ms.to_string();
        let signature = credentials.sign(&request.infno, national::VERSION, timestamp_ms);
        let headers = [
            (national::API_NAME, request.infno.as_str()),
            (national::API_VERSION, national::VERSION),
            (national::API_TIMESTAMP, timestamp.as_str()),
            (national::API_ACCESS_KEY, credentials.access_key.as_str()),
            (national::API_SIGNATURE, signature.as_str()),
        ];
        let bytes = self.call("POST", "/national", &headers, Some(&json(request)?))?;
        self.parse(&bytes)
    }

    fn put<T: Serialize + DeserializeOwned>(
        &self,
        kind: &str,
        id: &str,
        body: &T,
    ) -> Result<T, ClientError> {
        self.send("PUT", &format!("/v1/{kind}/{}", escape(id)), &json(body)?)
    }

    fn signed<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &[u8],
        signature: &[u8],
    ) -> Result<T, ClientError> {
        let signature = STANDARD.encode(signature);
        let headers = [(SIGNATURE_HEADER, signature.as_str())];
        let bytes = self.call("POST", path, &headers, Some(body))?;
        self.parse(&bytes)
    }

    fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        let bytes = self.call("GET", path, &[], None)?;
        self.parse(&bytes)
    }

    fn send<T: DeserializeOwned>(
        &self,
        method: &str,
        path: &str,
        body: &[u8],
    ) -> Result<T, ClientError> {
        let bytes = self.call(method, path, &[], Some(body))?;
        self.parse(&bytes)
    }

    /// One exchange: the body of a success, or the error.
    fn call(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&[u8]>,
    ) -> Result<Vec<u8>, ClientError> {
        let mut request = ureq::http::Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(token) = &self.token {
            request = request.header("Authorization", format!("Bearer {token}"));
        }
        let sent = match body {
            Some(body) => {
                let request = request
                    .header("Content-Type", "application/json")
                    .body(body);
                self.agent.run(request.map_err(|why| self.protocol(&why))?)
            }
            None => self
                .agent
                .run(request.body(()).map_err(|why| self.protocol(&why))?),
        };
        let mut response = sent.map_err(|why| self.unanswered(&why))?;
        let status = response.status();
        let bytes = response
            .body_mut()
            .with_config()
            .limit(MAX_ANSWER)
            .read_to_vec()
            .map_err(|why| self.unanswered(&why))?;
        if status.is_success() {
            return Ok(bytes);
        }
        match serde_json::from_slice::<Problem>(&bytes) {
            Ok(problem) => Err(ClientError::Refused(Box::new(problem))),
            Err(_) => {
                let text: String = String::from_utf8_lossy(&bytes).chars().take(200).collect();
                Err(self.protocol(&format!("HTTP {status}: {text}")))
            }
        }
    }

    fn parse<T: DeserializeOwned>(&self, bytes: &[u8]) -> Result<T, ClientError> {
        serde_json::from_slice(bytes).map_err(|why| self.protocol(&why))
    }

    fn protocol(&self, why: &dyn core::fmt::Display) -> ClientError {
        ClientError::Protocol {
            address: self.base.clone(),
            why: why.to_string(),
        }
    }

    fn unanswered(&self, why: &ureq::Error) -> ClientError {
        let address = self.base.clone();
        match tls::distrust(why) {
            Some(why) => ClientError::Untrusted { address, why },
            None => ClientError::Unreachable {
                address,
                why: why.to_string(),
            },
        }
    }
}

fn json<T: Serialize>(value: &T) -> Result<Vec<u8>, ClientError> {
    serde_json::to_vec(value).map_err(|why| ClientError::Protocol {
        address: "this client".to_owned(),
        why: why.to_string(),
    })
}

/// Percent-encodes one path segment.
fn escape(segment: &str) -> String {
    let mut out = String::with_capacity(segment.len());
    for byte in segment.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_are_escaped() {
        assert_eq!(escape("fund:310100"), "fund%3A310100");
        assert_eq!(escape("a/b c"), "a%2Fb%20c");
    }

    #[test]
    fn nobody_there_says_what_to_start() {
        // Port 1 on loopback: nothing listens.
        let error = Client::new("http://127.0.0.1:1").hotlist(0).unwrap_err();
        assert!(matches!(error, ClientError::Unreachable { .. }));
        assert!(
            error.to_string().contains("onecard clearing serve"),
            "{error}"
        );
    }
}
