//! Signing keys: Ed25519, and SM2 for card certificates.

use ed25519_dalek::Signer as _;
use hsm_client::{HsmError, Result, SM2_ID, SignAlgorithm, SignPurpose, SigningKeyInfo};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::{Entropy, hierarchy::FIRST_VERSION, lifecycle::Held};

/// Draws of an SM2 scalar before giving up; one is outside the order with probability 2^-32.
const DRAWS_MAX: u64 = 4;

/// The stored byte of a purpose.
pub(crate) const fn purpose_byte(purpose: SignPurpose) -> u8 {
    match purpose {
        SignPurpose::Hotlist => 1,
        SignPurpose::Parameters => 2,
        SignPurpose::Audit => 3,
        SignPurpose::Settlement => 4,
        SignPurpose::ClientCa => 5,
        SignPurpose::CardCa => 6,
    }
}

/// The secret of one purpose: an Ed25519 seed or an SM2 scalar. Wiped on drop.
#[derive(Clone)]
pub(crate) struct Signer {
    algorithm: SignAlgorithm,
    secret: Zeroizing<[u8; 32]>,
}

impl Signer {
    /// Draws a key.
    pub(crate) fn draw(entropy: &Entropy, purpose: SignPurpose, version: u8) -> Result<Self> {
        // The first version has no number in its name: seeds of before there were versions.
        let name = [purpose_byte(purpose), version];
        let name = if version == FIRST_VERSION {
            name.get(..1)
        } else {
            name.get(..)
        };
        let name = name.unwrap_or_default();
        for counter in 0..DRAWS_MAX {
            let mut secret = Zeroizing::new([0; 32]);
            entropy
                .stream("signing-key", name, counter)
                .fill(secret.as_mut())?;
            if let Some(signer) = Self::from_secret(purpose, secret) {
                return Ok(signer);
            }
        }
        Err(unusable())
    }

    /// From the store; `None` when it is no key of the purpose's algorithm.
    pub(crate) fn from_secret(purpose: SignPurpose, secret: Zeroizing<[u8; 32]>) -> Option<Self> {
        let signer = Self {
            algorithm: purpose.algorithm(),
            secret,
        };
        match signer.algorithm {
            SignAlgorithm::Ed25519 => Some(signer),
            SignAlgorithm::Sm2 => signer.sm2().is_ok().then_some(signer),
        }
    }

    pub(crate) fn secret(&self) -> &[u8; 32] {
        &self.secret
    }

    fn ed25519(&self) -> ed25519_dalek::SigningKey {
        ed25519_dalek::SigningKey::from_bytes(&self.secret)
    }

    fn sm2(&self) -> Result<sm2::dsa::SigningKey> {
        sm2::dsa::SigningKey::from_slice(SM2_ID, self.secret.as_ref()).map_err(|_| unusable())
    }

    /// Signs; both algorithms draw nothing, so the same message has the same signature.
    pub(crate) fn sign(&self, message: &[u8]) -> Result<Vec<u8>> {
        match self.algorithm {
            SignAlgorithm::Ed25519 => Ok(self.ed25519().sign(message).to_bytes().to_vec()),
            SignAlgorithm::Sm2 => {
                let signature = sm2::dsa::signature::Signer::try_sign(&self.sm2()?, message);
                signature
                    .map(|s| s.to_bytes().to_vec())
                    .map_err(|_| unusable())
            }
        }
    }

    pub(crate) fn public_key(&self) -> Result<Vec<u8>> {
        match self.algorithm {
            SignAlgorithm::Ed25519 => Ok(self.ed25519().verifying_key().to_bytes().to_vec()),
            SignAlgorithm::Sm2 => Ok(self.sm2()?.verifying_key().to_sec1_bytes().into_vec()),
        }
    }
}

/// As people may see it; a destroyed key has no fingerprint.
pub(crate) fn info(
    purpose: SignPurpose,
    version: u8,
    held: &Held<Signer>,
) -> Result<SigningKeyInfo> {
    let public = held.value.as_deref().map(Signer::public_key).transpose()?;
    Ok(SigningKeyInfo {
        purpose,
        version,
        algorithm: purpose.algorithm(),
        fingerprint: public
            .map(|key| hex::encode(Sha256::digest(key)))
            .unwrap_or_default(),
        state: held.life.state(),
        history: held.life.events(),
    })
}

fn unusable() -> HsmError {
    HsmError::WrongState {
        state: "unable to make or use an SM2 key".to_owned(),
        needs: "a sound random generator: try again, and replace the machine if it repeats"
            .to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hex_literal::hex;
    use sm2::dsa::{Signature, VerifyingKey, signature::Verifier};

    /// GB/T 32918.5-2017 (GM/T 0003.5-2012), annex A: key pair and signature of "message digest".
    const SECRET: [u8; 32] =
        hex!("3945208F7B2144B13F36E38AC6D39F95889393692860B51A42FB81EF4DF7C5B8");
    const PUBLIC: [u8; 65] = hex!(
        "04 09F9DF311E5421A150DD7D161E4BC5C672179FAD1833FC076BB08FF356F35020"
        "CCEA490CE26775A52DC6EA718CC1AA600AED05FBF35E084A6632F6072DA9AD13"
    );
    const SIGNATURE: [u8; 64] = hex!(
        "F5A03B0648D2C4630EEAC513E1BB81A15944DA3827D5B74143AC7EACEEE720B3"
        "B1B6AA29DF212FD8763182BC0D421CA1BB9038FD1F7F42D4840B69C485BBC1AA"
    );

    #[test]
    fn sm2_public_key_and_signature_of_the_standard() {
        let signer = Signer::from_secret(SignPurpose::CardCa, Zeroizing::new(SECRET)).expect("key");
        assert_eq!(signer.public_key().expect("key"), PUBLIC);
        let key = VerifyingKey::from_sec1_bytes(SM2_ID, &PUBLIC).expect("key");
        let published = Signature::from_slice(&SIGNATURE).expect("signature");
        key.verify(b"message digest", &published).expect("verifies");
        let ours = signer.sign(b"message digest").expect("signs");
        let ours = Signature::from_slice(&ours).expect("64 bytes");
        key.verify(b"message digest", &ours).expect("verifies");
        assert!(key.verify(b"another digest", &ours).is_err());
    }

    #[test]
    fn zero_and_the_order_are_no_sm2_keys() {
        let order = hex!("FFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFF7203DF6B21C6052B53BBF40939D54123");
        for secret in [[0; 32], order, [0xFF; 32]] {
            assert!(Signer::from_secret(SignPurpose::CardCa, Zeroizing::new(secret)).is_none());
        }
    }
}
