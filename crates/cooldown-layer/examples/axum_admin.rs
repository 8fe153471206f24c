//! The layer before a dangerous admin endpoint.
//!
//! ```sh
//! cargo run -p cooldown-layer --example axum_admin
//! curl -X POST localhost:3000/admin/purge/sessions   # twice in a minute, then 429 with Retry-After
//! curl -X POST localhost:3000/admin/purge/ledger     # protected: 403
//! ```

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Request};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use cooldown_layer::store::Outcome;
use cooldown_layer::{Action, Budget, Cooldown, CooldownLayer, Reason, Refused};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let purges = Cooldown::builder("purges")
        .budget(Budget::of(2).per(Duration::from_secs(60)))
        .protect(["ledger"])
        .on_decision(|decision| println!("{decision}"))
        .build()?;
    let port = std::env::var("PORT")
        .ok()
        .and_then(|port| port.parse().ok())
        .unwrap_or(3000_u16);
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
    println!("listening on {}", listener.local_addr()?);
    axum::serve(listener, app(purges)).await?;
    Ok(())
}

fn app(purges: Cooldown) -> Router {
    // axum calls `layer()` again and again; the state is in the handle, so that does no harm.
    let guard = CooldownLayer::new(purges, |request: &Request| {
        let target = request.uri().path().rsplit('/').next().unwrap_or_default();
        // The handler sees the path decoded: `l%65dger` must not slip past what protects `ledger`.
        Action::new("purge", if target.contains('%') { "" } else { target })
    })
    // An answer of the server's own fault is a purge that failed.
    .judge_by(|result: &Result<Response, std::convert::Infallible>| match result {
        Ok(response) if !response.status().is_server_error() => Outcome::Succeeded,
        _ => Outcome::Failed,
    })
    .on_refused(refusal);
    Router::new().route("/admin/purge/{cache}", post(purge).layer(guard))
}

async fn purge(Path(cache): Path<String>) -> String {
    format!("purged {cache}\n")
}

/// The service stays infallible: a refusal is a response.
#[allow(clippy::needless_pass_by_value)] // as `on_refused` hands it over
fn refusal(refused: Refused) -> Response {
    let status = match refused.reason() {
        Reason::Protected { .. } => StatusCode::FORBIDDEN,
        Reason::EmptyTarget | Reason::Invalid { .. } => StatusCode::BAD_REQUEST,
        Reason::StoreUnavailable { .. } => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::TOO_MANY_REQUESTS,
    };
    let mut response = (status, Body::from(format!("{refused}\n"))).into_response();
    if let Some(wait) = refused.retry_after() {
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    response
}
