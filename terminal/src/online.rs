//! What devices ask of the clearing house, as small traits: a test or a simulation can stand in.

use card_spec::time::CardTime;
use clearing_api::{
    BatchAnswer, Client, ClientError, national,
    topup::{TopUp, TopUpGrant},
};

use crate::{code::Code, result::Refusal};

/// Takes signed batches.
pub trait Uploads {
    /// Sends one batch.
    fn upload(&mut self, body: &[u8], signature: &[u8; 64]) -> Result<BatchAnswer, ClientError>;
}

/// Authorises top-ups.
pub trait TopUps {
    /// Asks for MAC2.
    fn authorise(&mut self, body: &[u8], signature: &[u8; 64]) -> Result<TopUpGrant, ClientError>;
    /// Hands over the TAC of authorisation `id`.
    fn confirm(&mut self, id: u64, body: &[u8], signature: &[u8; 64])
    -> Result<TopUp, ClientError>;
}

/// Answers the national interface.
pub trait National {
    /// One call at device time `at`.
    fn call(
        &mut self,
        request: &national::Request,
        at: CardTime,
    ) -> Result<national::Response, ClientError>;
}

impl Uploads for Client {
    fn upload(&mut self, body: &[u8], signature: &[u8; 64]) -> Result<BatchAnswer, ClientError> {
        Self::upload(self, body, signature)
    }
}

impl TopUps for Client {
    fn authorise(&mut self, body: &[u8], signature: &[u8; 64]) -> Result<TopUpGrant, ClientError> {
        Self::top_up(self, body, signature)
    }

    fn confirm(
        &mut self,
        id: u64,
        body: &[u8],
        signature: &[u8; 64],
    ) -> Result<TopUp, ClientError> {
        self.confirm_top_up(id, body, signature)
    }
}

/// The national interface of one institution behind a [`Client`].
#[derive(Debug, Clone)]
pub struct NationalLink {
    /// The clearing house.
    pub client: Client,
    /// The institution's access keys.
    pub credentials: national::Credentials,
}

impl National for NationalLink {
    fn call(
        &mut self,
        request: &national::Request,
        at: CardTime,
    ) -> Result<national::Response, ClientError> {
        self.client
            .national(&self.credentials, request, utc_milliseconds(at))
    }
}

/// Milliseconds since 1970 UTC of a local card time (Asia/Shanghai, UTC+8 all year).
fn utc_milliseconds(at: CardTime) -> u64 {
    u64::try_from((at.seconds() - 8 * 3_600) * 1_000).unwrap_or(0)
}

/// A call that gave no answer, or a refusal under `refused`.
pub(crate) fn no_answer(error: &ClientError, refused: Code) -> Refusal {
    let code = match error {
        ClientError::Refused(_) => refused,
        _ => Code::Offline,
    };
    Refusal::new(code, error)
}

#[cfg(test)]
mod tests {
    #[test]
    fn local_time_is_eight_hours_ahead() {
        // date -u -d 2023-11-14T22:13:20Z +%s = 1700000000 (the national interface's vector).
        let at = "2023-11-15T06:13:20".parse().expect("time");
        assert_eq!(super::utc_milliseconds(at), 1_700_000_000_000);
    }
}
