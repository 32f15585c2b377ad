//! Every refusal of a call leaves a line in the audit log: who, which operation, about what, why.
//!
//! The calls themselves note what they did. What they refuse is noted here, once for all of them,
//! whether the caller is a client of the server or this process. What one client may add to the log
//! by being refused is bounded ([`crate::refusals`]); this process's own refusals are all noted.

use core::ops::Deref;
use std::time::Instant;

use card_spec::{
    id::{Pan, SamNo},
    keys::{KcvKind, KeyHeader},
};
use hsm_client::{
    Administration, Approval, Approved, AuditFrom, AuditPage, AuthenticateRequest, CardCommand,
    CertificateInfo, CertificateRequest, DataItem, Hsm, HsmError, KeyId, KeyInfo, KeyOrder,
    KeyState, LoadRequest, MutualRequest, Opened, Operation, OverdraftRequest, OwnKeys, PinBlock,
    PinCheck, PinLetter, ProofCheck, ReadyCommand, Result, Revocation, RotationOrder,
    SamKeyRequest, Serial, SessionId, SignPurpose, Status, Subject,
};
use serde_json::{Value, json};

use super::{SoftHsm, ledger, locked};
use crate::{hierarchy::name, rotation::label, vault::only};

/// The calls, before their refusals are noted.
pub(super) struct Calls<'a>(&'a SoftHsm);

impl Deref for Calls<'_> {
    type Target = SoftHsm;

    fn deref(&self) -> &SoftHsm {
        self.0
    }
}

impl SoftHsm {
    fn calls(&self) -> Calls<'_> {
        Calls(self)
    }

    /// Passes a result on once a refusal is noted, with what it was about.
    fn answered<T>(
        &self,
        operation: Operation,
        about: impl FnOnce() -> Value,
        result: Result<T>,
    ) -> Result<T> {
        if let Err(error) = &result {
            self.note_refused(operation.rule().name, about(), error);
        }
        result
    }

    /// Notes a refusal, if this caller has a line left. Nothing was done, so the refusal stands even
    /// when the log cannot be written (or is not to be trusted, of which `status` speaks).
    pub(crate) fn note_refused(&self, act: &str, about: Value, error: &HsmError) {
        let suppressed = match self.caller.certified {
            None => 0,
            Some(_) => {
                let mut refusals = locked(&self.refusals);
                let of_caller = refusals.entry(self.caller.name.clone()).or_default();
                match of_caller.line(Instant::now()) {
                    Some(suppressed) => suppressed,
                    None => return,
                }
            }
        };
        let _ = self
            .note_refusal(act, about, error, suppressed)
            .and_then(|()| self.sync());
    }

    /// The line of a refusal, and how many had none since the last.
    pub(crate) fn note_refusal(
        &self,
        act: &str,
        mut about: Value,
        error: &HsmError,
        suppressed: u64,
    ) -> Result<()> {
        about["why"] = json!(error.to_string());
        if suppressed > 0 {
            about["suppressed"] = json!(suppressed);
        }
        self.note_outcome(act, error.code(), about)
    }
}

fn nothing() -> Value {
    json!({})
}

fn keys(headers: &[KeyHeader]) -> Value {
    // An order may name thousands; the first that is wrong is in the refusal.
    const NAMED: usize = 16;
    let named = headers.iter().take(NAMED).map(|h| name(*h));
    json!(named.collect::<Vec<_>>())
}

impl Hsm for SoftHsm {
    fn status(&self) -> Result<Status> {
        self.calls().status()
    }

    fn keys(&self) -> Result<Vec<KeyInfo>> {
        self.answered(Operation::Keys, nothing, self.calls().keys())
    }

    fn own_keys(&self) -> Result<OwnKeys> {
        self.answered(Operation::OwnKeys, nothing, self.calls().own_keys())
    }

    fn scp03_open(&self, host: [u8; 8], init_update: &[u8], level: u8) -> Result<Opened> {
        let opened = self.calls().scp03_open(host, init_update, level);
        self.answered(Operation::Scp03Open, nothing, opened)
    }

    fn scp03_wrap(&self, session: SessionId, commands: &[Vec<u8>]) -> Result<Vec<Vec<u8>>> {
        let wrapped = self.calls().scp03_wrap(session, commands);
        self.answered(Operation::Scp03Wrap, nothing, wrapped)
    }

    fn put_issuer_keys(&self, session: SessionId) -> Result<Vec<u8>> {
        let put = self.calls().put_issuer_keys(session);
        self.answered(Operation::PutIssuerKeys, nothing, put)
    }

    fn wrap_keys(&self, session: SessionId, order: &KeyOrder) -> Result<Vec<Vec<u8>>> {
        let about = || match order {
            KeyOrder::Card { card, headers } => json!({ "pan": card.pan, "keys": keys(headers) }),
            KeyOrder::Sam { sam, headers, .. } => json!({ "sam": sam, "keys": keys(headers) }),
        };
        let wrapped = self.calls().wrap_keys(session, order);
        self.answered(Operation::WrapKeys, about, wrapped)
    }

    fn first_pin(&self, session: SessionId) -> Result<PinLetter> {
        let letter = self.calls().first_pin(session);
        self.answered(Operation::FirstPin, nothing, letter)
    }

    fn scp03_close(&self, session: SessionId) -> Result<()> {
        let closed = self.calls().scp03_close(session);
        self.answered(Operation::Scp03Close, nothing, closed)
    }

    fn verify(&self, checks: &[ProofCheck]) -> Result<Vec<Result<bool>>> {
        let about = || json!({ "items": checks.len() });
        self.answered(Operation::Verify, about, self.calls().verify(checks))
    }

    fn authorize_load(&self, request: &LoadRequest) -> Result<[u8; 4]> {
        let hold = &request.hold;
        let about = || {
            json!({
                "keys": keys(&[ledger::loading_key(request)]),
                "hold": short(&hold.hold_id),
                "pan": hold.pan,
                "account": hold.account,
                "seq": hold.seq,
                "amount_fen": hold.amount,
                "terminal": request.terminal,
            })
        };
        let mac2 = self.calls().authorize_load(request);
        self.answered(Operation::AuthorizeLoad, about, mac2)
    }

    fn sam_ceiling_mac(
        &self,
        sam: SamNo,
        version: u8,
        challenge: [u8; 8],
        ceiling: u32,
    ) -> Result<[u8; 4]> {
        let about = || json!({ "sam": sam, "version": version, "ceiling": ceiling });
        let mac = self
            .calls()
            .sam_ceiling_mac(sam, version, challenge, ceiling);
        self.answered(Operation::SamCeilingMac, about, mac)
    }

    fn card_command(&self, request: &CardCommand) -> Result<ReadyCommand> {
        let ready = self.calls().card_command(request);
        self.answered(
            Operation::CardCommand,
            || Self::order_detail(request),
            ready,
        )
    }

    fn authorize_overdraft(&self, request: &OverdraftRequest) -> Result<Vec<u8>> {
        let order = &request.order;
        let about = || {
            let duk = only(
                card_spec::keys::KeyType::Duk,
                request.suite,
                request.version,
            );
            json!({
                "keys": keys(&[duk]),
                "order": short(&order.order_id),
                "pan": order.pan,
                "seq": order.seq,
                "new_limit_fen": order.new_limit,
                "terminal": request.terminal,
            })
        };
        let command = self.calls().authorize_overdraft(request);
        self.answered(Operation::AuthorizeOverdraft, about, command)
    }

    fn authenticate_to_card(&self, request: &AuthenticateRequest) -> Result<Vec<u8>> {
        let about = || json!({ "pan": request.card.pan, "keys": keys(&[request.header]) });
        let command = self.calls().authenticate_to_card(request);
        self.answered(Operation::AuthenticateToCard, about, command)
    }

    fn authenticate_mutually(&self, request: &MutualRequest) -> Result<Vec<u8>> {
        let reader = &request.reader;
        let about = || json!({ "pan": reader.card.pan, "keys": keys(&[reader.header]) });
        let command = self.calls().authenticate_mutually(request);
        self.answered(Operation::AuthenticateMutually, about, command)
    }

    fn key_check_value(&self, header: KeyHeader, kind: KcvKind) -> Result<[u8; 3]> {
        let about = || json!({ "keys": keys(&[header]) });
        let value = self.calls().key_check_value(header, kind);
        self.answered(Operation::KeyCheckValue, about, value)
    }

    fn sam_write_key(&self, request: &SamKeyRequest) -> Result<Vec<u8>> {
        let about = || json!({ "sam": request.sam, "region": request.region, "keys": keys(&[request.header]) });
        let command = self.calls().sam_write_key(request);
        self.answered(Operation::SamWriteKey, about, command)
    }

    fn translate_pin(&self, pan: Pan, block: &PinBlock, to: u8) -> Result<PinBlock> {
        let about = || json!({ "pan": pan, "from": block.version, "to": to });
        let translated = self.calls().translate_pin(pan, block, to);
        self.answered(Operation::TranslatePin, about, translated)
    }

    fn verify_pin(&self, check: &PinCheck) -> Result<bool> {
        let about = || json!({ "pan": check.pan });
        self.answered(Operation::VerifyPin, about, self.calls().verify_pin(check))
    }

    fn wrap_data(&self, items: &[DataItem]) -> Result<Vec<Vec<u8>>> {
        let about = || json!({ "items": items.len() });
        self.answered(Operation::WrapData, about, self.calls().wrap_data(items))
    }

    fn unwrap_data(&self, items: &[DataItem]) -> Result<Vec<Vec<u8>>> {
        let about = || json!({ "items": items.len() });
        let plain = self.calls().unwrap_data(items);
        self.answered(Operation::UnwrapData, about, plain)
    }

    fn index_data(&self, field: &str, values: &[String]) -> Result<Vec<[u8; 32]>> {
        let about = || json!({ "values": values.len() });
        let hashes = self.calls().index_data(field, values);
        self.answered(Operation::IndexData, about, hashes)
    }

    fn sign(&self, purpose: SignPurpose, message: &[u8]) -> Result<Vec<u8>> {
        let about = || json!({ "keys": [purpose.name()] });
        let signature = self.calls().sign(purpose, message);
        self.answered(Operation::Sign, about, signature)
    }

    fn public_key(&self, purpose: SignPurpose) -> Result<Vec<u8>> {
        let about = || json!({ "keys": [purpose.name()] });
        let key = self.calls().public_key(purpose);
        self.answered(Operation::PublicKey, about, key)
    }

    fn random(&self, length: usize) -> Result<Vec<u8>> {
        let about = || json!({ "length": length });
        self.answered(Operation::Random, about, self.calls().random(length))
    }
}

impl Administration for SoftHsm {
    fn approval_challenge(&self) -> Result<[u8; 32]> {
        let challenge = self.calls().approval_challenge();
        self.answered(Operation::ApprovalChallenge, nothing, challenge)
    }

    fn approve(&self, approval: &Approval) -> Result<Approved> {
        let about = || json!({ "minutes": approval.minutes });
        self.answered(Operation::Approve, about, self.calls().approve(approval))
    }

    fn end_authorisation(&self) -> Result<()> {
        let ended = self.calls().end_authorisation();
        self.answered(Operation::EndAuthorisation, nothing, ended)
    }

    fn clear_load_lock(&self, pan: Pan) -> Result<()> {
        let about = || json!({ "pan": pan });
        let cleared = self.calls().clear_load_lock(pan);
        self.answered(Operation::ClearLoadLock, about, cleared)
    }

    fn certify(&self, request: &CertificateRequest) -> Result<Vec<u8>> {
        let about = || match &request.subject {
            Subject::Client { name, role } => json!({ "subject": short(name), "role": role }),
            Subject::Server { hosts } => json!({ "role": "server", "hosts": hosts.len() }),
            Subject::Device { number } => json!({ "role": "device", "subject": number }),
        };
        self.answered(Operation::Certify, about, self.calls().certify(request))
    }

    fn revoke(&self, revocation: &Revocation) -> Result<Vec<Serial>> {
        let revoked = self.calls().revoke(revocation);
        self.answered(Operation::Revoke, nothing, revoked)
    }

    fn certificates(&self) -> Result<Vec<CertificateInfo>> {
        self.answered(
            Operation::Certificates,
            nothing,
            self.calls().certificates(),
        )
    }

    fn audit_lines(&self, from: AuditFrom) -> Result<AuditPage> {
        let page = self.calls().audit_lines(from);
        self.answered(Operation::AuditLines, nothing, page)
    }

    fn set_key_state(&self, key: KeyId, to: KeyState) -> Result<()> {
        let about = || json!({ "key": label(key), "to": to });
        let done = Administration::set_key_state(&self.calls(), key, to);
        self.answered(Operation::SetKeyState, about, done)
    }

    fn rotate(&self, order: &RotationOrder) -> Result<Vec<KeyId>> {
        let about = || json!({ "rotation": format!("{:?}", order.rotation) });
        self.answered(Operation::Rotate, about, self.calls().rotate(order))
    }
}

/// The beginning of a text that nobody has checked yet: a line stays short.
fn short(text: &str) -> String {
    text.chars().take(64).collect()
}
