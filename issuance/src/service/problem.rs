//! Errors as problem documents.

use super::auth::{Permission, Role};
use crate::{intake::IntakeError, store::StoreError};
use actix_web::{
    HttpResponse, ResponseError,
    http::{StatusCode, header},
};
use clearing_api::{FieldError, Problem};

/// What can go wrong with a request.
#[derive(Debug, thiserror::Error)]
pub(super) enum ApiError {
    #[error("send `Authorization: Bearer <token>` with a token of this service")]
    Unauthenticated,
    #[error("the role {role:?} may not {permission:?}: ask somebody whose role may")]
    Forbidden { role: Role, permission: Permission },
    #[error("nothing is at this address: see the list of endpoints in the documentation")]
    NoSuchPath,
    #[error("this address takes {allow} only")]
    Method { allow: &'static str },
    #[error("the request cannot be read: {why}")]
    Malformed { why: String },
    #[error("the body is longer than {max} bytes: split it")]
    TooLarge { max: usize },
    #[error("send the body as application/json")]
    MediaType,
    #[error("{field}: {message}")]
    Field {
        field: &'static str,
        message: String,
    },
    #[error(transparent)]
    Intake(#[from] IntakeError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl ApiError {
    /// Status, stable code, fixed title.
    const fn kind(&self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::Unauthenticated => (
                StatusCode::UNAUTHORIZED,
                "unauthenticated",
                "Not authenticated",
            ),
            Self::Forbidden { .. } => (
                StatusCode::FORBIDDEN,
                "forbidden",
                "Not allowed for this role",
            ),
            Self::NoSuchPath => (StatusCode::NOT_FOUND, "no-such-path", "No such address"),
            Self::Method { .. } => (
                StatusCode::METHOD_NOT_ALLOWED,
                "method",
                "Method not allowed",
            ),
            Self::Malformed { .. } => (StatusCode::BAD_REQUEST, "malformed", "Malformed request"),
            Self::TooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "too-large", "Body too long"),
            Self::MediaType => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "media-type", "Not JSON"),
            Self::Field { .. } => (
                StatusCode::UNPROCESSABLE_ENTITY,
                "field",
                "A field is wrong",
            ),
            Self::Intake(_) => (
                StatusCode::UNPROCESSABLE_ENTITY,
                "file",
                "Not a person file",
            ),
            Self::Store(e) => match e {
                StoreError::NotFound { .. } => (StatusCode::NOT_FOUND, "not-found", "Not found"),
                StoreError::SelfApproval(_) => (
                    StatusCode::CONFLICT,
                    "self-approval",
                    "A second person must approve",
                ),
                StoreError::State(_) => {
                    (StatusCode::CONFLICT, "state", "Not possible in this state")
                }
                StoreError::Conflict(_) | StoreError::Numbers => (
                    StatusCode::CONFLICT,
                    "conflict",
                    "Conflicts with what is kept",
                ),
                StoreError::Hsm(_) => (
                    StatusCode::SERVICE_UNAVAILABLE,
                    "hsm",
                    "The key service does not answer",
                ),
                StoreError::Tampered { .. }
                | StoreError::Corrupt { .. }
                | StoreError::Database(_)
                | StoreError::Newer { .. } => (
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "internal",
                    "Internal error",
                ),
            },
        }
    }
}

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        self.kind().0
    }

    fn error_response(&self) -> HttpResponse {
        let (status, code, title) = self.kind();
        let internal = status.is_server_error();
        if internal {
            tracing::error!(error = %self, "issuance request failed");
        }
        let errors = match self {
            Self::Field { field, message } => vec![FieldError {
                field: (*field).to_owned(),
                message: message.clone(),
            }],
            _ => Vec::new(),
        };
        let problem = Problem {
            kind: format!("urn:onecard:problem:{code}"),
            title: title.to_owned(),
            status: status.as_u16(),
            // What the database said is for the log, not for whoever asked.
            detail: if internal {
                "the service could not do this; its log says why".to_owned()
            } else {
                self.to_string()
            },
            code: code.to_owned(),
            errors,
        };
        let mut response = HttpResponse::build(status);
        response.insert_header((header::CONTENT_TYPE, "application/problem+json"));
        match self {
            Self::Unauthenticated => {
                response.insert_header((header::WWW_AUTHENTICATE, "Bearer"));
            }
            Self::Method { allow } => {
                response.insert_header((header::ALLOW, *allow));
            }
            _ => {}
        }
        response.body(serde_json::to_string(&problem).unwrap_or_default())
    }
}
