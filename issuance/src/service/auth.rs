//! Who may do what.

use super::problem::ApiError;
use crate::order::StaffId;
use actix_web::http::header::{AUTHORIZATION, HeaderMap};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use subtle::ConstantTimeEq;

/// What a member of staff is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// 制卡员: takes in persons, draws up orders, hands cards over.
    Maker,
    /// 复核员: approves orders.
    Reviewer,
    /// 挂失员: loss, un-loss, retirement.
    LossClerk,
    /// 审计员: reads everything, changes nothing.
    Auditor,
    /// 管理员: runs the system; makes no cards and approves none.
    Administrator,
}

/// What can be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permission {
    /// See persons, orders, cards, stock.
    Read,
    /// Import persons.
    Import,
    /// Draw up orders.
    Draft,
    /// Approve orders.
    Approve,
    /// Deliver and activate cards.
    HandOver,
    /// Suspend, resume, report lost, retire.
    Block,
    /// Take blanks into stock.
    Stock,
    /// Read the audit log.
    Audit,
}

impl Role {
    /// The table of roles and permissions.
    pub const fn may(self, permission: Permission) -> bool {
        use Permission as P;
        match self {
            Self::Maker => matches!(permission, P::Read | P::Import | P::Draft | P::HandOver),
            Self::Reviewer => matches!(permission, P::Read | P::Approve),
            Self::LossClerk => matches!(permission, P::Read | P::Draft | P::Block),
            Self::Auditor => matches!(permission, P::Read | P::Audit),
            Self::Administrator => matches!(permission, P::Read | P::Stock | P::Audit),
        }
    }
}

/// The tokens, kept as digests so that comparing them takes the same time for every token.
pub(super) struct Staff(Vec<([u8; 32], StaffId, Role)>);

impl Staff {
    pub(super) fn new(tokens: &BTreeMap<String, (StaffId, Role)>) -> Self {
        Self(
            tokens
                .iter()
                .map(|(token, (staff, role))| (digest(token), staff.clone(), *role))
                .collect(),
        )
    }

    /// The member of staff behind a request, if the role allows what is asked.
    pub(super) fn allow(
        &self,
        headers: &HeaderMap,
        permission: Permission,
    ) -> Result<StaffId, ApiError> {
        let token = headers
            .get(AUTHORIZATION)
            .and_then(|v| v.to_str().ok())
            .and_then(|v| v.strip_prefix("Bearer "))
            .ok_or(ApiError::Unauthenticated)?;
        let given = digest(token);
        let mut found = None;
        for (known, staff, role) in &self.0 {
            if bool::from(known.ct_eq(&given)) {
                found = Some((staff, *role));
            }
        }
        let (staff, role) = found.ok_or(ApiError::Unauthenticated)?;
        if role.may(permission) {
            Ok(staff.clone())
        } else {
            Err(ApiError::Forbidden { role, permission })
        }
    }
}

fn digest(token: &str) -> [u8; 32] {
    Sha256::digest(token).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_both_draws_up_and_approves() {
        use Permission as P;
        let table = [
            (Role::Maker, "RIDH"),
            (Role::Reviewer, "RA"),
            (Role::LossClerk, "RDB"),
            (Role::Auditor, "RU"),
            (Role::Administrator, "RSU"),
        ];
        let permissions = [
            (P::Read, 'R'),
            (P::Import, 'I'),
            (P::Draft, 'D'),
            (P::Approve, 'A'),
            (P::HandOver, 'H'),
            (P::Block, 'B'),
            (P::Stock, 'S'),
            (P::Audit, 'U'),
        ];
        for (role, allowed) in table {
            for (permission, letter) in permissions {
                assert_eq!(
                    role.may(permission),
                    allowed.contains(letter),
                    "{role:?} {permission:?}"
                );
            }
            assert!(!(role.may(P::Draft) && role.may(P::Approve)));
        }
    }
}
