//! Errors as RFC 9457 problem documents.

use crate::error::ClearingError;
use actix_web::{HttpResponse, ResponseError, http::StatusCode, http::header::ALLOW};
use clearing_api::Problem;

pub(super) const PROBLEM_JSON: &str = "application/problem+json";

fn document(status: u16, code: &str, title: &str, detail: String) -> Problem {
    Problem {
        kind: format!("urn:onecard:problem:{code}"),
        title: title.to_owned(),
        status,
        detail,
        code: code.to_owned(),
        errors: Vec::new(),
    }
}

fn response(problem: &Problem) -> HttpResponse {
    let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    HttpResponse::build(status)
        .content_type(PROBLEM_JSON)
        .body(serde_json::to_string(problem).unwrap_or_default())
}

impl ResponseError for ClearingError {
    fn status_code(&self) -> StatusCode {
        let status = match self {
            Self::Refused(refusal) => refusal.status,
            Self::Hsm(_) | Self::Store(_) | Self::Stopping => 503,
            Self::Damaged { .. } => 500,
        };
        StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn error_response(&self) -> HttpResponse {
        let status = self.status_code().as_u16();
        let (code, title) = match self {
            Self::Refused(refusal) => (refusal.code, refusal.title),
            Self::Hsm(_) => ("hsm", "The HSM is not available"),
            Self::Store(_) => ("store", "The database is not available"),
            Self::Damaged { .. } => ("damaged", "Stored data is damaged"),
            Self::Stopping => ("stopping", "The service is stopping"),
        };
        if status >= 500 {
            tracing::error!(code, "{self}");
        }
        let mut answer = response(&document(status, code, title, self.to_string()));
        if status == 401 {
            answer.headers_mut().insert(
                actix_web::http::header::WWW_AUTHENTICATE,
                actix_web::http::header::HeaderValue::from_static("Bearer"),
            );
        }
        answer
    }
}

/// No such address.
pub(super) async fn not_found() -> HttpResponse {
    response(&document(
        404,
        "not-found",
        "Not found",
        "there is nothing at this address".to_owned(),
    ))
}

/// The address exists, the method does not.
pub(super) fn method_not_allowed(allow: &'static str) -> HttpResponse {
    let mut answer = response(&document(
        405,
        "method-not-allowed",
        "Method not allowed",
        format!("this address takes {allow}"),
    ));
    answer.headers_mut().insert(
        ALLOW,
        actix_web::http::header::HeaderValue::from_static(allow),
    );
    answer
}
