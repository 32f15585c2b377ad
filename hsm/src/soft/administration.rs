//! The calls of people: approvals, and what needs two of them.

use std::time::{Instant, SystemTime};

use card_spec::id::Pan;
use hsm_client::{
    Administration, Approval, Approved, AuditFrom, AuditPage, CertificateInfo, CertificateRequest,
    Issued, KeyId, KeySource, KeyState, Result, Revocation, RotationOrder, Serial, SignPurpose,
    Subject,
};
use serde_json::json;

use super::{AUDIT, backup::refused, locked, refusals::Calls};
use crate::{
    ceremony::from_components,
    certificates,
    loads::Guess,
    memory::WipeStack,
    registry::{CERTIFY, REVOKE},
};

impl Administration for Calls<'_> {
    fn approval_challenge(&self) -> Result<[u8; 32]> {
        self.sound()?;
        let officer = self.caller.officer()?;
        // Never from a seed: an approval must not fit a second time.
        let challenge = crate::Entropy::os()
            .stream("approval", &[], 0)
            .array::<32>()?;
        Ok(locked(&self.authority).challenge(Instant::now(), officer, challenge))
    }

    fn approve(&self, approval: &Approval) -> Result<Approved> {
        self.sound()?;
        let approved = locked(&self.authority).approve(Instant::now(), &self.caller, approval)?;
        let certified = self.caller.certified.map(|(_, key)| hex::encode(key));
        // Enough for anybody to verify the signature later.
        let noted = self
            .note(
                "approval",
                json!({
                    "reason": approval.reason,
                    "minutes": approval.minutes,
                    "challenge": hex::encode(approval.challenge),
                    "public_key": certified,
                    "signature": hex::encode(&approval.signature),
                    "second": matches!(approved, Approved::Authorised { .. }),
                }),
            )
            .and_then(|()| self.sync());
        // Nothing is authorised unaudited.
        noted.inspect_err(|_| locked(&self.authority).end())?;
        Ok(approved)
    }

    fn end_authorisation(&self) -> Result<()> {
        self.sound()?;
        self.caller.officer()?;
        locked(&self.authority).end();
        self.note("authorisation-ended", json!({}))?;
        self.sync()
    }

    fn clear_load_lock(&self, pan: Pan) -> Result<()> {
        let control = self.authorised()?;
        let mut logs = self.logs()?;
        logs.loads.clear(pan, Guess::Mac1)?;
        logs.loads.clear(pan, Guess::Pin)?;
        drop(logs);
        self.note_as(&control.actor(), "load-lock-cleared", json!({ "pan": pan }))?;
        self.sync()
    }

    fn certify(&self, request: &CertificateRequest) -> Result<Vec<u8>> {
        let control = self.authorised()?;
        let serial = crate::Entropy::os()
            .stream("certificate", &[], 0)
            .array::<16>()?;
        let (certificate, serial) = certificates::issue(
            self.vault().signer(SignPurpose::ClientCa)?,
            &request.subject,
            &request.public_key,
            serial,
            SystemTime::now(),
            request.days,
        )?;
        let (subject, role) = match &request.subject {
            Subject::Client { name, role } => (name.clone(), role.name()),
            Subject::Server { hosts } => (hosts.join(" "), "server"),
            Subject::Device { number } => (number.to_string(), certificates::DEVICE),
        };
        let detail = json!({
            "subject": subject,
            "role": role,
            "serial": serial,
            "days": request.days,
            "public_key": hex::encode(request.public_key),
            "keys": [SignPurpose::ClientCa.name()],
        });
        self.note_as(&control.actor(), CERTIFY, detail)?;
        self.sync()?;
        let issued = Issued {
            subject,
            role: role.to_owned(),
            at: (self.clock)(),
            days: request.days,
        };
        locked(&self.registry).issued(serial, issued);
        Ok(certificate)
    }

    fn revoke(&self, revocation: &Revocation) -> Result<Vec<Serial>> {
        let control = self.authorised()?;
        let mut registry = locked(&self.registry);
        let meant = registry.meant(revocation)?;
        let detail = json!({ "of": revocation, "serials": meant });
        self.note_as(&control.actor(), REVOKE, detail)?;
        self.sync()?;
        let at = (self.clock)();
        for serial in &meant {
            registry.revoked(serial.clone(), at);
        }
        // What a revoked officer approved ends with the certificate.
        if meant.iter().any(|serial| registry.may_be_officers(serial)) {
            locked(&self.authority).end();
        }
        Ok(meant)
    }

    fn certificates(&self) -> Result<Vec<CertificateInfo>> {
        self.sound()?;
        Ok(locked(&self.registry).list())
    }

    fn audit_lines(&self, from: AuditFrom) -> Result<AuditPage> {
        let mut logs = self.logs()?;
        let stretch = {
            let vault = self.vault();
            let signer = vault.signer(SignPurpose::Audit)?;
            logs.audit.stretch(signer, (self.clock)(), from)?
        };
        // What is written meanwhile comes after it.
        drop(logs);
        stretch.read(&self.directory.join(AUDIT))
    }

    fn set_key_state(&self, key: KeyId, to: KeyState) -> Result<()> {
        self.try_set_key_state(key, to)
    }

    fn rotate(&self, order: &RotationOrder) -> Result<Vec<KeyId>> {
        let _wipe = WipeStack;
        let control = self.authorised()?;
        let components = match &order.source {
            KeySource::Components(components) => components,
            KeySource::Drawn => return self.try_generate_keys(order.rotation),
        };
        let formed = from_components(&control, components, (self.clock)());
        let (roots, transcript) = formed.map_err(refused)?;
        self.try_rotate_keys(&roots, &transcript, order.rotation)
    }
}
