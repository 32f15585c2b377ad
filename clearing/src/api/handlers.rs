//! One function an address; no rules in here.

use super::App;
use super::auth::{Role, allow};
use super::peer::speaks_for_itself;
use super::problem::method_not_allowed;
use crate::error::{ClearingError, Refusal, Result};
use crate::ingest::digest;
use crate::medical::{CallHeaders, Reply};
use crate::store::Registered;
use actix_web::{
    HttpRequest, HttpResponse,
    web::{self, Bytes, Data, Path, Payload},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use clearing_api::{SIGNATURE_HEADER, national, parameters, registry};
use serde::{Serialize, de::DeserializeOwned};

/// Largest upload: a full batch with room to spare.
const MAX_BODY: usize = 4 * 1024 * 1024;

type Answer = Result<HttpResponse>;

async fn body(payload: Payload) -> Result<Bytes> {
    match payload.to_bytes_limited(MAX_BODY).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(why)) => Err(Refusal::malformed(format!("the body broke off: {why}")).into()),
        Err(_) => Err(Refusal::too_large(format!("send at most {MAX_BODY} bytes")).into()),
    }
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    Ok(serde_json::from_slice(bytes).map_err(|why| Refusal::malformed(why.to_string()))?)
}

/// A path segment or query value of a type.
fn value<T: core::str::FromStr>(text: &str, what: &str) -> Result<T> {
    Ok(text
        .parse()
        .map_err(|_| Refusal::invalid(format!("{text} is not {what}")))?)
}

fn json<T: Serialize>(value: &T) -> Answer {
    Ok(HttpResponse::Ok().json(value))
}

fn header(request: &HttpRequest, name: &str) -> String {
    let value = request.headers().get(name);
    value
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
        .to_owned()
}

/// The signature header's bytes; anything unreadable verifies as no signature does.
fn signature(request: &HttpRequest) -> Vec<u8> {
    STANDARD
        .decode(header(request, SIGNATURE_HEADER))
        .unwrap_or_default()
}

async fn upload(app: Data<App>, request: HttpRequest, payload: Payload) -> Answer {
    let body = body(payload).await?;
    speaks_for_itself(&request, &body)?;
    json(&app.house.upload(&body, &signature(&request)).await?)
}

async fn top_up(app: Data<App>, request: HttpRequest, payload: Payload) -> Answer {
    let body = body(payload).await?;
    speaks_for_itself(&request, &body)?;
    json(&app.house.top_up(&body, &signature(&request)).await?)
}

async fn confirm(
    app: Data<App>,
    request: HttpRequest,
    id: Path<String>,
    payload: Payload,
) -> Answer {
    let id = value(&id, "the number of a top-up")?;
    let body = body(payload).await?;
    speaks_for_itself(&request, &body)?;
    let signature = signature(&request);
    json(&app.house.confirm_top_up(id, &body, &signature).await?)
}

#[derive(serde::Deserialize)]
struct Since {
    since: Option<String>,
}

async fn hotlist(app: Data<App>, request: HttpRequest) -> Answer {
    let query = web::Query::<Since>::from_query(request.query_string())
        .map_err(|why| Refusal::malformed(why.to_string()))?;
    let since = query.since.as_deref().unwrap_or("0");
    let since = since
        .parse()
        .map_err(|_| Refusal::malformed(format!("since={since} is no version of the hotlist")))?;
    json(&app.house.hotlist(since).await?)
}

async fn hotlist_base(app: Data<App>) -> Answer {
    let file = app.house.hotlist_base().await?;
    Ok(HttpResponse::Ok()
        .content_type("application/octet-stream")
        .body(file))
}

async fn propose(app: Data<App>, request: HttpRequest, payload: Payload) -> Answer {
    let who = allow(&request, &app.tokens, &[Role::Staff])?;
    let proposal: parameters::Proposal = parse(&body(payload).await?)?;
    json(&app.house.propose(&who, &proposal).await?)
}

async fn approve(app: Data<App>, request: HttpRequest, number: Path<String>) -> Answer {
    let who = allow(&request, &app.tokens, &[Role::Staff])?;
    let number = value(&number, "the number of a proposal")?;
    json(&app.house.approve(&who, number).await?)
}

async fn device_parameters(app: Data<App>, request: HttpRequest, payload: Payload) -> Answer {
    let body = body(payload).await?;
    speaks_for_itself(&request, &body)?;
    json(&app.house.parameters(&body, &signature(&request)).await?)
}

async fn parameter_reports(app: Data<App>, request: HttpRequest) -> Answer {
    allow(&request, &app.tokens, &[Role::Staff, Role::Auditor])?;
    json(&app.house.parameter_reports().await?)
}

async fn list_card(app: Data<App>, request: HttpRequest, payload: Payload) -> Answer {
    let who = allow(&request, &app.tokens, &[Role::Issuance, Role::Staff])?;
    let entry: registry::ListCard = parse(&body(payload).await?)?;
    let (pan, generation) = (entry.pan, entry.generation.0);
    let what = format!("lists card {pan} generation {generation}: {}", entry.reason);
    app.house.attribute(&who, &what).await?;
    json(&app.house.list_card(&entry).await?)
}

/// The id in the address must be the one in the body.
fn same_id(path: &str, body: &str) -> Result<()> {
    if path == body {
        return Ok(());
    }
    Err(Refusal::invalid(format!("the address says {path}, the body {body}")).into())
}

/// Writes down who registers or changes what; the content by its hash, for it may be personal.
async fn registers(app: &App, who: &str, kind: &str, id: &str, body: &[u8]) -> Result<()> {
    let what = format!("registers {kind} {id} with content {}", digest(body));
    app.house.attribute(who, &what).await
}

async fn put_operator(
    app: Data<App>,
    request: HttpRequest,
    id: Path<String>,
    payload: Payload,
) -> Answer {
    let who = allow(&request, &app.tokens, &[Role::Issuance, Role::Staff])?;
    let bytes = body(payload).await?;
    let item: registry::Operator = parse(&bytes)?;
    same_id(&id, &item.id)?;
    registers(&app, &who, "operator", &id, &bytes).await?;
    app.house
        .register(&Registered::Operator(item.clone()))
        .await?;
    json(&item)
}

async fn put_device(
    app: Data<App>,
    request: HttpRequest,
    id: Path<String>,
    payload: Payload,
) -> Answer {
    let who = allow(&request, &app.tokens, &[Role::Issuance, Role::Staff])?;
    let bytes = body(payload).await?;
    let item: registry::Device = parse(&bytes)?;
    same_id(&id, &item.device.to_string())?;
    registers(&app, &who, "device", &id, &bytes).await?;
    app.house
        .register(&Registered::Device(item.clone()))
        .await?;
    json(&item)
}

async fn put_sam(
    app: Data<App>,
    request: HttpRequest,
    id: Path<String>,
    payload: Payload,
) -> Answer {
    let who = allow(&request, &app.tokens, &[Role::Issuance, Role::Staff])?;
    let bytes = body(payload).await?;
    let item: registry::Sam = parse(&bytes)?;
    same_id(&id, &item.sam.to_string())?;
    registers(&app, &who, "sam", &id, &bytes).await?;
    app.house.register(&Registered::Sam(item.clone())).await?;
    json(&item)
}

async fn put_card(
    app: Data<App>,
    request: HttpRequest,
    id: Path<String>,
    payload: Payload,
) -> Answer {
    let who = allow(&request, &app.tokens, &[Role::Issuance])?;
    let bytes = body(payload).await?;
    let item: registry::Card = parse(&bytes)?;
    same_id(&id, &item.pan.to_string())?;
    registers(&app, &who, "card", &id, &bytes).await?;
    app.house.register(&Registered::Card(item.clone())).await?;
    json(&item)
}

async fn put_insured(
    app: Data<App>,
    request: HttpRequest,
    id: Path<String>,
    payload: Payload,
) -> Answer {
    let who = allow(&request, &app.tokens, &[Role::Issuance])?;
    let bytes = body(payload).await?;
    let item: registry::Insured = parse(&bytes)?;
    same_id(&id, &item.psn_no)?;
    registers(&app, &who, "insured", &id, &bytes).await?;
    app.house
        .register(&Registered::Insured(Box::new(item.clone())))
        .await?;
    json(&item)
}

const READERS: [Role; 3] = [Role::Issuance, Role::Staff, Role::Auditor];

async fn card(app: Data<App>, request: HttpRequest, pan: Path<String>) -> Answer {
    allow(&request, &app.tokens, &READERS)?;
    json(&app.house.card_shadow(value(&pan, "a card number")?).await?)
}

async fn pension(app: Data<App>, request: HttpRequest, psn_no: Path<String>) -> Answer {
    allow(&request, &app.tokens, &READERS)?;
    json(&app.house.pension(&psn_no).await?)
}

async fn day(app: Data<App>, request: HttpRequest, day: Path<String>) -> Answer {
    allow(&request, &app.tokens, &[Role::Staff, Role::Auditor])?;
    json(&app.house.day(value(&day, "a date")?).await?)
}

async fn close(app: Data<App>, request: HttpRequest, day: Path<String>) -> Answer {
    let who = allow(&request, &app.tokens, &[Role::Staff])?;
    let day = value(&day, "a date")?;
    let what = format!("closes day {day}");
    app.house.attribute(&who, &what).await?;
    json(&app.house.close_day(day).await?)
}

async fn statement(app: Data<App>, request: HttpRequest, path: Path<(String, String)>) -> Answer {
    allow(&request, &app.tokens, &[Role::Staff, Role::Auditor])?;
    let (day, party) = path.into_inner();
    let csv = app.house.statement(value(&day, "a date")?, &party).await?;
    Ok(HttpResponse::Ok()
        .content_type("text/csv; charset=utf-8")
        .body(csv))
}

async fn national_call(app: Data<App>, request: HttpRequest, payload: Payload) -> Answer {
    let headers = CallHeaders {
        name: header(&request, national::API_NAME),
        version: header(&request, national::API_VERSION),
        timestamp: header(&request, national::API_TIMESTAMP),
        access_key: header(&request, national::API_ACCESS_KEY),
        signature: header(&request, national::API_SIGNATURE),
    };
    let body = body(payload).await?;
    let reply = app
        .house
        .national_call(&app.hospitals, &headers, &body)
        .await?;
    Ok(match reply {
        Reply::Answer(text) => HttpResponse::Ok()
            .content_type("application/json; charset=utf-8")
            .body(text),
        // The published form of this interface's authentication error.
        Reply::Unauthorised(message) => {
            HttpResponse::Unauthorized().json(serde_json::json!({"code": 401, "message": message}))
        }
    })
}

/// Every address with its methods.
pub(super) fn routes(config: &mut web::ServiceConfig) {
    macro_rules! resource {
        ($path:literal, $allow:literal, $($route:expr),+) => {
            config.service(
                web::resource($path)$(.route($route))+.default_service(web::to(|| async {
                    Ok::<_, ClearingError>(method_not_allowed($allow))
                })),
            );
        };
    }
    resource!("/v1/batches", "POST", web::post().to(upload));
    resource!("/v1/top-ups", "POST", web::post().to(top_up));
    resource!("/v1/top-ups/{id}/confirm", "POST", web::post().to(confirm));
    resource!(
        "/v1/hotlist",
        "GET, POST",
        web::get().to(hotlist),
        web::post().to(list_card)
    );
    resource!("/v1/hotlist/base", "GET", web::get().to(hotlist_base));
    resource!("/v1/proposals", "POST", web::post().to(propose));
    resource!(
        "/v1/proposals/{number}/approval",
        "POST",
        web::post().to(approve)
    );
    resource!(
        "/v1/parameters",
        "GET, POST",
        web::get().to(parameter_reports),
        web::post().to(device_parameters)
    );
    resource!("/v1/operators/{id}", "PUT", web::put().to(put_operator));
    resource!("/v1/devices/{id}", "PUT", web::put().to(put_device));
    resource!("/v1/sams/{id}", "PUT", web::put().to(put_sam));
    resource!(
        "/v1/cards/{id}",
        "GET, PUT",
        web::get().to(card),
        web::put().to(put_card)
    );
    resource!("/v1/insured/{id}", "PUT", web::put().to(put_insured));
    resource!("/v1/pensions/{id}", "GET", web::get().to(pension));
    resource!("/v1/days/{day}", "GET", web::get().to(day));
    resource!("/v1/days/{day}/close", "POST", web::post().to(close));
    resource!(
        "/v1/days/{day}/statements/{party}",
        "GET",
        web::get().to(statement)
    );
    resource!("/national", "POST", web::post().to(national_call));
}
