//! The endpoints.

use super::{
    Clock, Config,
    auth::{Permission, Staff},
    problem::ApiError,
};
use crate::{
    intake::{self, RowError, Rules},
    life::CardEvent,
    order::{CardOptions, OrderId, Purpose},
    person::{Person, PersonNo},
    store::{Conflict, Store},
};
use actix_web::{
    App, HttpRequest, HttpResponse, HttpServer,
    dev::Server,
    error::{JsonPayloadError, PayloadError},
    http::StatusCode,
    web::{self, Bytes, Data, Json, Path, Query},
};
use card_spec::id::Pan;
use serde::{Deserialize, Serialize};
use std::{net::SocketAddr, sync::Arc};

type Answer = Result<HttpResponse, ApiError>;

struct State {
    store: Arc<dyn Store>,
    staff: Staff,
    clock: Clock,
}

/// Longest CSV in one request.
const CSV_MAX: usize = 16 << 20;
/// Longest JSON body.
const JSON_MAX: usize = 1 << 20;
/// Longest page.
const PAGE_MAX: u32 = 100;
const PAGE: u32 = 20;

pub(super) fn server(
    config: Config,
    store: Arc<dyn Store>,
) -> Result<(Server, SocketAddr), std::io::Error> {
    let state = Data::new(State {
        store,
        staff: Staff::new(&config.tokens),
        clock: config.clock,
    });
    let server = HttpServer::new(move || App::new().app_data(state.clone()).configure(routes))
        .workers(2)
        .disable_signals()
        .shutdown_timeout(5)
        .bind(config.listen)?;
    let address = server
        .addrs()
        .first()
        .copied()
        .ok_or_else(|| std::io::Error::other("no address was bound"))?;
    Ok((server.run(), address))
}

fn routes(app: &mut web::ServiceConfig) {
    let malformed = |e: &dyn core::fmt::Display| ApiError::Malformed { why: e.to_string() }.into();
    app.app_data(web::PayloadConfig::new(CSV_MAX))
        .app_data(
            web::JsonConfig::default()
                .limit(JSON_MAX)
                .error_handler(move |e, _| match e {
                    JsonPayloadError::Overflow { .. }
                    | JsonPayloadError::OverflowKnownLength { .. }
                    | JsonPayloadError::Payload(PayloadError::Overflow) => {
                        ApiError::TooLarge { max: JSON_MAX }.into()
                    }
                    JsonPayloadError::ContentType => ApiError::MediaType.into(),
                    e => malformed(&e),
                }),
        )
        .app_data(web::QueryConfig::default().error_handler(move |e, _| malformed(&e)))
        .app_data(web::PathConfig::default().error_handler(move |e, _| malformed(&e)))
        .service(at("/health", "GET").get(health))
        .service(at("/v1/persons", "GET, POST").get(persons).post(import))
        .service(at("/v1/orders", "GET, POST").get(orders).post(draft))
        .service(at("/v1/orders/{id}/approval", "POST").post(approve))
        .service(at("/v1/orders/{id}/queue", "GET").get(queue))
        .service(at("/v1/cards", "GET").get(cards))
        .service(at("/v1/cards/{pan}", "GET").get(card))
        .service(at("/v1/cards/{pan}/events", "POST").post(event))
        .service(at("/v1/blanks", "GET, POST").get(stock).post(receive))
        .service(at("/v1/audit", "GET").get(audit))
        .default_service(web::to(|| async { Answer::Err(ApiError::NoSuchPath) }));
}

/// One address with its methods; the others answer 405 and Allow.
struct At(actix_web::Resource);

fn at(path: &str, allow: &'static str) -> At {
    At(
        web::resource(path).default_service(web::to(move || async move {
            Answer::Err(ApiError::Method { allow })
        })),
    )
}

impl At {
    fn get<F, Args>(self, handler: F) -> Self
    where
        F: actix_web::Handler<Args, Output = Answer>,
        Args: actix_web::FromRequest + 'static,
    {
        Self(self.0.route(web::get().to(handler)))
    }
    fn post<F, Args>(self, handler: F) -> Self
    where
        F: actix_web::Handler<Args, Output = Answer>,
        Args: actix_web::FromRequest + 'static,
    {
        Self(self.0.route(web::post().to(handler)))
    }
}

impl actix_web::dev::HttpServiceFactory for At {
    fn register(self, config: &mut actix_web::dev::AppService) {
        self.0.register(config);
    }
}

/// A page request.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Page {
    limit: Option<u32>,
    starting_after: Option<String>,
}

impl Page {
    fn limit(&self) -> Result<u32, ApiError> {
        match self.limit.unwrap_or(PAGE) {
            limit @ 1..=PAGE_MAX => Ok(limit),
            _ => Err(ApiError::Field {
                field: "limit",
                message: format!("must be 1 to {PAGE_MAX}"),
            }),
        }
    }

    fn after<T>(&self, parse: impl FnOnce(&str) -> Option<T>) -> Result<Option<T>, ApiError> {
        match &self.starting_after {
            None => Ok(None),
            Some(text) => parse(text).map(Some).ok_or(ApiError::Field {
                field: "starting_after",
                message: "is not a cursor of this list: take next_cursor of the page before"
                    .to_owned(),
            }),
        }
    }
}

/// One more than asked for was read: so `has_more` is known without another query.
fn page<T: Serialize>(mut rows: Vec<T>, limit: u32, cursor: impl Fn(&T) -> String) -> HttpResponse {
    let limit = limit as usize;
    let has_more = rows.len() > limit;
    rows.truncate(limit);
    let next_cursor = rows.last().filter(|_| has_more).map(cursor);
    HttpResponse::Ok().json(serde_json::json!({
        "data": rows,
        "has_more": has_more,
        "next_cursor": next_cursor,
    }))
}

async fn health(state: Data<State>) -> Answer {
    let stock = state.store.stock().await?;
    Ok(HttpResponse::Ok().json(serde_json::json!({ "status": "ok", "blanks": stock.remaining })))
}

/// A person as lists show it: the identity number masked.
#[derive(Serialize)]
struct PersonView {
    psn_no: PersonNo,
    name: String,
    certno: String,
    region: card_spec::id::RegionCode,
    insutype: &'static str,
    psn_type: &'static str,
}

impl From<Person> for PersonView {
    fn from(p: Person) -> Self {
        let id = p.certno.as_str();
        let tail = id.get(14..).unwrap_or_default();
        Self {
            certno: format!("{}********{tail}", p.certno.area()),
            psn_no: p.psn_no,
            name: p.name.into(),
            region: p.region,
            insutype: p.scheme.code(),
            psn_type: p.person_type.code(),
        }
    }
}

async fn persons(state: Data<State>, request: HttpRequest, query: Query<Page>) -> Answer {
    state.staff.allow(request.headers(), Permission::Read)?;
    let limit = query.limit()?;
    let after = query.after(|t| PersonNo::try_from(t.to_owned()).ok())?;
    let rows = state.store.persons(after, limit + 1).await?;
    let rows: Vec<PersonView> = rows.into_iter().map(PersonView::from).collect();
    Ok(page(rows, limit, |p| p.psn_no.to_string()))
}

/// What an import did.
#[derive(Serialize)]
struct Imported {
    rows: u64,
    refused: usize,
    added: u32,
    unchanged: u32,
    errors: Vec<RowError>,
    conflicts: Vec<Conflict>,
}

async fn import(
    state: Data<State>,
    request: HttpRequest,
    body: Result<Bytes, actix_web::Error>,
) -> Answer {
    let by = state.staff.allow(request.headers(), Permission::Import)?;
    let body = body.map_err(|e| {
        if e.as_response_error().status_code() == StatusCode::PAYLOAD_TOO_LARGE {
            ApiError::TooLarge { max: CSV_MAX }
        } else {
            ApiError::Malformed { why: e.to_string() }
        }
    })?;
    let now = (state.clock)();
    let intake = intake::read(&body, &Rules::fujian(now.date()))?;
    let refused = intake.refused();
    let report = state.store.import(&intake.persons, &by, now).await?;
    Ok(HttpResponse::Ok().json(Imported {
        rows: intake.rows,
        refused,
        added: report.added,
        unchanged: report.unchanged,
        errors: intake.errors,
        conflicts: report.conflicts,
    }))
}

/// An order as it is asked for.
#[derive(Deserialize)]
struct NewOrder {
    #[serde(flatten)]
    purpose: Purpose,
    #[serde(default)]
    options: CardOptions,
}

async fn draft(state: Data<State>, request: HttpRequest, order: Json<NewOrder>) -> Answer {
    let by = state.staff.allow(request.headers(), Permission::Draft)?;
    let NewOrder { purpose, options } = order.into_inner();
    let order = state
        .store
        .draft(purpose, options, &by, (state.clock)())
        .await?;
    Ok(HttpResponse::Created().json(order))
}

async fn orders(state: Data<State>, request: HttpRequest, query: Query<Page>) -> Answer {
    state.staff.allow(request.headers(), Permission::Read)?;
    let limit = query.limit()?;
    let after = query.after(|t| t.parse().ok().map(OrderId))?;
    let rows = state.store.orders(after, limit + 1).await?;
    Ok(page(rows, limit, |o| o.id().to_string()))
}

async fn approve(state: Data<State>, request: HttpRequest, id: Path<u32>) -> Answer {
    let by = state.staff.allow(request.headers(), Permission::Approve)?;
    let now = (state.clock)();
    let (order, cards) = state.store.approve(OrderId(*id), &by, now).await?;
    Ok(HttpResponse::Ok().json(serde_json::json!({ "order": order, "cards": cards })))
}

async fn queue(
    state: Data<State>,
    request: HttpRequest,
    id: Path<u32>,
    query: Query<Page>,
) -> Answer {
    state.staff.allow(request.headers(), Permission::Read)?;
    let limit = query.limit()?;
    let work = state.store.queue(OrderId(*id), limit + 1).await?;
    let rows: Vec<serde_json::Value> = work
        .iter()
        .map(|w| serde_json::json!({ "pan": w.pan, "psn_no": w.person.psn_no, "generation": w.generation }))
        .collect();
    // The queue shrinks from the front as cards are made, so it has no cursor.
    Ok(HttpResponse::Ok().json(serde_json::json!({
        "has_more": rows.len() > limit as usize,
        "data": rows.get(..limit as usize).unwrap_or(&rows),
    })))
}

async fn cards(state: Data<State>, request: HttpRequest, query: Query<Page>) -> Answer {
    state.staff.allow(request.headers(), Permission::Read)?;
    let limit = query.limit()?;
    let after = query.after(|t| t.parse::<Pan>().ok())?;
    let rows = state.store.cards(after, limit + 1).await?;
    Ok(page(rows, limit, |c| c.pan.to_string()))
}

fn pan(text: &str) -> Result<Pan, ApiError> {
    text.parse().map_err(|_| ApiError::Field {
        field: "pan",
        message: "must have 20 digits".to_owned(),
    })
}

async fn card(state: Data<State>, request: HttpRequest, number: Path<String>) -> Answer {
    state.staff.allow(request.headers(), Permission::Read)?;
    let pan = pan(&number)?;
    match state.store.card(pan).await? {
        Some(card) => Ok(HttpResponse::Ok().json(card)),
        None => Err(crate::store::StoreError::NotFound {
            what: "card",
            id: pan.to_string(),
        }
        .into()),
    }
}

/// An event as it is reported.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewEvent {
    event: CardEvent,
}

async fn event(
    state: Data<State>,
    request: HttpRequest,
    number: Path<String>,
    body: Json<NewEvent>,
) -> Answer {
    let permission = match body.event {
        CardEvent::Deliver | CardEvent::Activate => Permission::HandOver,
        CardEvent::Suspend | CardEvent::Resume | CardEvent::ReportLost | CardEvent::Retire => {
            Permission::Block
        }
        CardEvent::Start | CardEvent::Check | CardEvent::Spoil | CardEvent::Replace => {
            return Err(ApiError::Field {
                field: "event",
                message: "comes from a personalisation station or an order, not from a desk"
                    .to_owned(),
            });
        }
    };
    let by = state.staff.allow(request.headers(), permission)?;
    let pan = pan(&number)?;
    let card = state
        .store
        .event(pan, body.event, &by, (state.clock)())
        .await?;
    Ok(HttpResponse::Ok().json(card))
}

/// A delivery of blanks.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Delivery {
    count: u32,
}

async fn receive(state: Data<State>, request: HttpRequest, body: Json<Delivery>) -> Answer {
    let by = state.staff.allow(request.headers(), Permission::Stock)?;
    let stock = state
        .store
        .receive_blanks(body.count, &by, (state.clock)())
        .await?;
    Ok(HttpResponse::Ok().json(stock))
}

async fn stock(state: Data<State>, request: HttpRequest) -> Answer {
    state.staff.allow(request.headers(), Permission::Read)?;
    Ok(HttpResponse::Ok().json(state.store.stock().await?))
}

async fn audit(state: Data<State>, request: HttpRequest, query: Query<Page>) -> Answer {
    state.staff.allow(request.headers(), Permission::Audit)?;
    let limit = query.limit()?;
    let after = query.after(|t| t.parse::<u64>().ok())?.unwrap_or(0);
    let rows = state.store.audit(after, limit + 1).await?;
    Ok(page(rows, limit, |l| l.line.to_string()))
}
