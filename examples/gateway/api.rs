//! The routes.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::{Method, Request, Response, StatusCode, Uri};
use axum::routing::{get, post};
use axum::{Router, middleware};
use fusebox::prelude::ProbeHandle;
use metrics_exporter_prometheus::PrometheusHandle;
use serde_json::json;
use tower::ServiceExt;

use crate::chain::Chain;
use crate::chat::Chat;
use crate::config::Provider;
use crate::demo::{DemoProvider, Fault};
use crate::pool::Pool;
use crate::steering::{self, Steering};
use crate::trail::Trail;
use crate::{answer, status, welcome};

/// The longest request that is read.
const MAX_REQUEST: usize = 4 * 1024 * 1024;

/// What the routes share.
#[derive(Clone)]
pub(crate) struct Gateway {
    pub(crate) chain: Chain,
    pub(crate) pool: Pool,
    /// They go on for as long as these are here.
    pub(crate) probes: Arc<[ProbeHandle]>,
    pub(crate) providers: Arc<[Provider]>,
    /// Empty when the gateway asks real providers.
    pub(crate) demo: Arc<[DemoProvider]>,
    pub(crate) metrics: PrometheusHandle,
}

/// All routes; those that steer only where somebody may.
pub(crate) fn routes(gateway: Gateway, steering: Option<Steering>) -> Router {
    let mut app = Router::new()
        .route("/", get(|| async { welcome::ENDPOINTS }))
        .route(
            "/v1/chat/completions",
            post(chat).layer(DefaultBodyLimit::max(MAX_REQUEST)),
        )
        .route("/health/circuit-breakers", get(circuits))
        .route("/health/limits", get(limits))
        .route("/health/providers", get(providers))
        .route("/v1/models", get(models))
        .route("/metrics", get(metrics));
    if let Some(steering) = steering {
        let mut control = Router::new().route("/admin/circuit-breakers/{name}/{action}", post(steer));
        if !gateway.demo.is_empty() {
            control = control
                .route("/demo/providers", get(faults))
                .route("/demo/providers/{name}/fault/{fault}", post(break_it));
        }
        app = app.merge(control.layer(middleware::from_fn_with_state(steering, steering::guard)));
    }
    app.fallback(nothing).with_state(gateway)
}

async fn chat(State(gateway): State<Gateway>, body: Bytes) -> Response<Body> {
    let chat = match Chat::read(&body) {
        Ok(chat) => chat,
        Err(message) => return answer::error(StatusCode::BAD_REQUEST, "invalid_request_error", &message),
    };
    let mut request = Request::new(chat);
    request.extensions_mut().insert(Trail::default());
    match gateway.chain.oneshot(request).await {
        Ok(response) => response,
        // The last step always has an answer, so this is a fault of the gateway itself.
        Err(error) => {
            tracing::error!(%error, "no step answered");
            answer::error(StatusCode::BAD_GATEWAY, "server_error", "no step of the chain answered")
        }
    }
}

async fn circuits(State(gateway): State<Gateway>) -> Response<Body> {
    answer::json_page(&status::circuits(&gateway.providers))
}

async fn providers(State(gateway): State<Gateway>) -> Response<Body> {
    answer::json_page(&status::providers(&gateway.pool.snapshot(), &gateway.probes))
}

async fn models(State(gateway): State<Gateway>) -> Response<Body> {
    answer::json_response(StatusCode::OK, &status::models(&gateway.pool.models()))
}

async fn limits(State(gateway): State<Gateway>) -> Response<Body> {
    answer::json_page(&status::limits(&gateway.providers))
}

async fn metrics(State(gateway): State<Gateway>) -> String {
    // Gauges that calls do not write: they are brought up to date when somebody looks.
    fusebox::circuit::publish_metrics();
    fusebox::concurrency::publish_metrics();
    gateway.pool.publish_metrics();
    gateway.metrics.render()
}

async fn steer(State(gateway): State<Gateway>, Path((name, action)): Path<(String, String)>) -> Response<Body> {
    let Some(provider) = gateway.providers.iter().find(|provider| provider.name == name) else {
        let names: Vec<_> = gateway
            .providers
            .iter()
            .map(|provider| provider.name.as_str())
            .collect();
        return unknown(&format!("there is no circuit {name:?}; there are {}", names.join(", ")));
    };
    let circuit = &provider.circuit;
    match action.as_str() {
        "reset" => circuit.reset(),
        "force-open" => circuit.force_open(),
        "disable" => circuit.disable(),
        "metrics-only" => circuit.metrics_only(),
        "release" => {
            circuit.release();
        }
        _ => {
            let allowed = "reset, force-open, disable, metrics-only and release";
            return unknown(&format!("a circuit cannot {action:?}; it can {allowed}"));
        }
    }
    answer::json_page(&status::circuit(&circuit.snapshot()))
}

async fn faults(State(gateway): State<Gateway>) -> Response<Body> {
    let faults = gateway.demo.iter().map(|provider| {
        let address = format!("http://{}", provider.address);
        (
            provider.name.to_owned(),
            json!({ "address": address, "fault": provider.fault().as_str() }),
        )
    });
    answer::json_response(StatusCode::OK, &serde_json::Value::Object(faults.collect()))
}

async fn break_it(State(gateway): State<Gateway>, Path((name, fault)): Path<(String, String)>) -> Response<Body> {
    let Some(provider) = gateway.demo.iter().find(|provider| provider.name == name) else {
        return unknown(&format!(
            "there is no built-in provider {name:?}; see GET /demo/providers"
        ));
    };
    let fault = match fault.parse::<Fault>() {
        Ok(fault) => fault,
        Err(message) => return unknown(&message),
    };
    match provider.set(fault).await {
        Ok(()) => answer::json_response(StatusCode::OK, &json!({ "provider": name, "fault": fault.as_str() })),
        Err(message) => answer::error(StatusCode::INTERNAL_SERVER_ERROR, "server_error", &message),
    }
}

async fn nothing(method: Method, uri: Uri) -> Response<Body> {
    unknown(&format!("there is nothing at {method} {}; see GET /", uri.path()))
}

fn unknown(message: &str) -> Response<Body> {
    answer::error(StatusCode::NOT_FOUND, "not_found", message)
}
