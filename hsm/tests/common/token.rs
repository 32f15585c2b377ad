//! An HSM on a token, and the token's own list.

use std::path::Path;

use cryptoki::{
    context::{CInitializeArgs, CInitializeFlags, Pkcs11},
    object::{Attribute, AttributeType, ObjectClass, ObjectHandle},
    session::{Session, UserType},
    types::AuthPin,
};
use hsm::{Config, Token, Zeroizing};

#[path = "softhsm.rs"]
pub mod softhsm;

pub fn on_token(directory: &Path) -> Config {
    Config {
        token: Some(Token {
            module: softhsm::module(),
            label: softhsm::LABEL.to_owned(),
            pin: Zeroizing::new(softhsm::PIN.to_owned()),
        }),
        ..super::config(directory)
    }
}

/// Every key of the token, as its owner sees it beside the HSM.
fn each_key(mut f: impl FnMut(&Session, ObjectHandle)) {
    let module = Pkcs11::new(softhsm::module()).unwrap();
    let _ = module.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK));
    for slot in module.get_slots_with_initialized_token().unwrap() {
        let session = module.open_rw_session(slot).unwrap();
        let _ = session.login(UserType::User, Some(&AuthPin::from(softhsm::PIN)));
        let keys = [
            Attribute::Class(ObjectClass::SECRET_KEY),
            Attribute::Token(true),
        ];
        for object in session.find_objects(&keys).unwrap() {
            f(&session, object);
        }
    }
}

/// Labels of its keys, in order.
pub fn labels() -> Vec<String> {
    let mut labels = Vec::new();
    each_key(|session, object| {
        for attribute in session
            .get_attributes(object, &[AttributeType::Label])
            .unwrap()
        {
            if let Attribute::Label(label) = attribute {
                labels.push(String::from_utf8(label).unwrap());
            }
        }
    });
    labels.sort();
    labels
}

/// Destroys every key.
pub fn destroy_all() {
    each_key(|session, object| session.destroy_object(object).unwrap());
}

/// Another user of the module in this process ends it: it looks for its tokens anew.
pub fn forget() {
    let module = Pkcs11::new(softhsm::module()).unwrap();
    let _ = module.finalize();
}
