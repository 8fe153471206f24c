//! The layer for HTTP: marks, kept requests, bodies taken down as they stream.
#![cfg(feature = "http")]

mod support;

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use fallback_layer::http::{KeepBytes, KeepHead};
use fallback_layer::{CauseKind, Degraded, FallbackLayer};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body::{Body as _, Frame};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use support::BoxError;
use tower::{Layer, Service, ServiceExt};

type Body = UnsyncBoxBody<Bytes, BoxError>;
type Req = Request<Full<Bytes>>;

/// A body that comes in the frames it was given, one a poll with a `Pending` before each.
struct Frames {
    left: VecDeque<Sent>,
    ready: bool,
    // Says that it is over with the last frame, as a body of known length does.
    knows_its_end: bool,
}

impl http_body::Body for Frames {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.ready = !self.ready;
        if self.ready {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(self.left.pop_front().map(|frame| frame.map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        self.knows_its_end && self.left.is_empty()
    }
}

type Sent = Result<Frame<Bytes>, &'static str>;

#[allow(clippy::unnecessary_wraps, reason = "it stands in a list with what fails")]
fn data(text: &'static str) -> Sent {
    Ok(Frame::data(Bytes::from_static(text.as_bytes())))
}

#[allow(clippy::unnecessary_wraps, reason = "it stands in a list with what fails")]
fn grpc_trailers(status: &'static str) -> Sent {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static(status));
    Ok(Frame::trailers(trailers))
}

fn stream(frames: impl IntoIterator<Item = Sent>) -> Body {
    Frames {
        left: frames.into_iter().collect(),
        ready: false,
        knows_its_end: false,
    }
    .boxed_unsync()
}

fn full(text: &'static str) -> Body {
    Full::from(text)
        .map_err(|never: Infallible| match never {})
        .boxed_unsync()
}

type Answers = Arc<Mutex<VecDeque<Response<Body>>>>;

/// Gives the responses in turn; then it is down.
fn server(
    responses: impl IntoIterator<Item = Response<Body>>,
) -> impl Service<Req, Response = Response<Body>, Error = BoxError> + Clone {
    let answers: Answers = Arc::new(Mutex::new(responses.into_iter().collect()));
    tower::service_fn(move |_: Req| {
        std::future::ready(
            answers
                .lock()
                .unwrap()
                .pop_front()
                .ok_or_else(|| BoxError::from("down")),
        )
    })
}

fn down() -> impl Service<Req, Response = Response<Body>, Error = BoxError> + Clone {
    server([])
}

fn get(path: &str) -> Req {
    Request::get(path).body(Full::default()).unwrap()
}

fn status(status: u16) -> Response<Body> {
    Response::builder().status(status).body(full("its own body")).unwrap()
}

fn by_path() -> impl Fn(&Req) -> Option<String> + Send + Sync + 'static {
    |request| Some(request.uri().path().to_owned())
}

async fn text(response: Response<Body>) -> String {
    String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

/// What is given for `/` when the server is down after it has answered `response`, and the caller has read all of it.
async fn kept(response: Response<Body>) -> Option<Response<Body>> {
    let layer = FallbackLayer::http().cached_http(by_path(), BodyExt::boxed_unsync);
    let answer = layer.layer(server([response])).oneshot(get("/")).await.unwrap();
    let _ = answer.into_body().collect().await;
    layer.layer(down()).oneshot(get("/")).await.ok()
}

#[tokio::test]
async fn a_5xx_response_is_a_failure_and_a_4xx_is_not() {
    let layer = FallbackLayer::http().respond(|_, _| Response::new(full("sorry")));
    for (code, degraded) in [
        (200, false),
        (404, false),
        (429, false),
        (500, true),
        (503, true),
        (599, true),
    ] {
        let response = layer.layer(server([status(code)])).oneshot(get("/")).await.unwrap();
        assert_eq!(response.extensions().get::<Degraded>().is_some(), degraded, "{code}");
        assert_eq!(text(response).await, if degraded { "sorry" } else { "its own body" });
    }
}

#[tokio::test]
async fn a_grpc_response_whose_head_blames_the_server_is_a_failure() {
    let layer = FallbackLayer::http().respond(|_, _| Response::new(full("sorry")));
    for (code, degraded) in [
        ("0", false),
        ("5", false),
        ("14", true),
        ("13", true),
        ("garbage", true),
    ] {
        let mut response = Response::new(full(""));
        response
            .headers_mut()
            .insert("content-type", HeaderValue::from_static("application/grpc"));
        response
            .headers_mut()
            .insert("grpc-status", HeaderValue::from_static(code));
        let response = layer.layer(server([response])).oneshot(get("/")).await.unwrap();
        assert_eq!(response.extensions().get::<Degraded>().is_some(), degraded, "{code}");
    }
}

#[tokio::test]
async fn a_failed_response_goes_out_as_it_came_when_every_step_passes_on() {
    let layer = FallbackLayer::http().cached_http(by_path(), BodyExt::boxed_unsync);
    let response = layer.layer(server([status(502)])).oneshot(get("/")).await.unwrap();
    assert_eq!(response.status(), StatusCode::BAD_GATEWAY);
    assert!(response.extensions().get::<Degraded>().is_none());
    assert_eq!(text(response).await, "its own body");
}

#[tokio::test]
async fn a_degraded_answer_carries_step_and_cause_in_its_extensions() {
    let layer = FallbackLayer::http()
        .respond(|_, _| Response::new(full("sorry")))
        .named("sorry");
    let response = layer.layer(server([status(502)])).oneshot(get("/")).await.unwrap();
    assert_eq!(
        response.extensions().get(),
        Some(&Degraded::new("sorry", CauseKind::Response))
    );
    let response = layer.layer(down()).oneshot(get("/")).await.unwrap();
    assert_eq!(
        response.extensions().get(),
        Some(&Degraded::new("sorry", CauseKind::Error))
    );
}

#[tokio::test]
async fn on_refusal_knows_a_response_with_the_mark_of_a_refusal_in_its_extensions() {
    let layer = FallbackLayer::http()
        .on_refusal()
        .respond(|_, _| Response::new(full("sorry")));
    let mut refused = status(503);
    refused.extensions_mut().insert(state_core::Refusal::new(None));
    let response = layer.layer(server([refused])).oneshot(get("/")).await.unwrap();
    assert_eq!(
        response.extensions().get(),
        Some(&Degraded::new("respond", CauseKind::Refusal))
    );
    let response = layer.layer(server([status(503)])).oneshot(get("/")).await.unwrap();
    assert_eq!(response.status(), 503);
}

#[tokio::test(start_paused = true)]
async fn a_streaming_body_is_stored_at_its_clean_end_and_given_again() {
    let layer = FallbackLayer::http().cached_http(by_path(), BodyExt::boxed_unsync);
    let response = Response::builder()
        .status(StatusCode::CREATED)
        .header("x-kind", "good")
        .header("connection", "close")
        .body(stream([data("one "), data("two "), data("three")]))
        .unwrap();
    let answer = layer.layer(server([response])).oneshot(get("/")).await.unwrap();
    assert!(
        layer.layer(down()).oneshot(get("/")).await.is_err(),
        "nothing is stored before the end"
    );
    assert_eq!(answer.headers()["connection"], "close", "what passes by is not changed");
    assert_eq!(text(answer).await, "one two three");

    tokio::time::advance(Duration::from_secs(65)).await;
    for _ in 0..2 {
        let answer = layer.layer(down()).oneshot(get("/")).await.unwrap();
        assert_eq!(answer.status(), StatusCode::CREATED);
        assert_eq!(answer.headers()["x-kind"], "good");
        assert_eq!(answer.headers()["age"], "65");
        assert!(
            !answer.headers().contains_key("connection"),
            "a connection's own business"
        );
        assert_eq!(
            answer.extensions().get(),
            Some(&Degraded::new("cached", CauseKind::Error))
        );
        assert_eq!(text(answer).await, "one two three");
    }
    assert!(layer.layer(down()).oneshot(get("/other")).await.is_err());
}

#[tokio::test]
async fn the_stream_is_never_buffered_before_it_is_answered() {
    let layer = FallbackLayer::http().cached_http(by_path(), BodyExt::boxed_unsync);
    let (send, receive) = tokio::sync::oneshot::channel::<()>();
    let first = futures_body(receive);
    let answer = layer
        .layer(server([Response::new(first)]))
        .oneshot(get("/"))
        .await
        .unwrap();
    let mut body = answer.into_body();
    let frame = body.frame().await.unwrap().unwrap();
    assert_eq!(
        frame.into_data().unwrap(),
        "head",
        "it is here before the server has sent the rest"
    );
    send.send(()).unwrap();
    assert_eq!(body.collect().await.unwrap().to_bytes(), "tail");
    assert_eq!(
        text(layer.layer(down()).oneshot(get("/")).await.unwrap()).await,
        "headtail"
    );
}

/// `head` at once, `tail` when told to.
fn futures_body(told: tokio::sync::oneshot::Receiver<()>) -> Body {
    struct Told(u8, tokio::sync::oneshot::Receiver<()>);
    impl http_body::Body for Told {
        type Data = Bytes;
        type Error = BoxError;
        fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
            self.0 += 1;
            match self.0 {
                1 => Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"head"))))),
                2 => {
                    let told = Pin::new(&mut self.1).poll(cx);
                    if told.is_pending() {
                        self.0 = 1;
                        return Poll::Pending;
                    }
                    Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"tail")))))
                }
                _ => Poll::Ready(None),
            }
        }
    }
    Told(0, told).boxed_unsync()
}

#[tokio::test]
async fn a_body_that_says_that_it_is_over_is_stored_without_being_asked_again() {
    let left = [data("all of it")].into();
    let body = Frames {
        left,
        ready: false,
        knows_its_end: true,
    }
    .boxed_unsync();
    let layer = FallbackLayer::http().cached_http(by_path(), BodyExt::boxed_unsync);
    let answer = layer
        .layer(server([Response::new(body)]))
        .oneshot(get("/"))
        .await
        .unwrap();
    let mut body = answer.into_body();
    body.frame().await.unwrap().unwrap();
    assert!(body.is_end_stream());
    drop(body);
    assert_eq!(
        text(layer.layer(down()).oneshot(get("/")).await.unwrap()).await,
        "all of it"
    );
}

#[tokio::test]
async fn an_empty_body_is_stored_although_nobody_asks_it_for_a_frame() {
    let layer = FallbackLayer::http().cached_http(by_path(), BodyExt::boxed_unsync);
    let mut response = Response::new(full(""));
    *response.status_mut() = StatusCode::NO_CONTENT;
    drop(layer.layer(server([response])).oneshot(get("/")).await.unwrap());
    let answer = layer.layer(down()).oneshot(get("/")).await.unwrap();
    assert_eq!(answer.status(), StatusCode::NO_CONTENT);
    assert!(answer.body().is_end_stream());
    assert_eq!(answer.body().size_hint().exact(), Some(0));
}

#[tokio::test]
async fn a_body_that_fails_at_any_frame_is_not_stored() {
    for good in 0..3 {
        let mut frames: Vec<_> = std::iter::repeat_with(|| data("x")).take(good).collect();
        frames.push(Err("reset by peer"));
        frames.push(data("rest"));
        assert!(
            kept(Response::new(stream(frames))).await.is_none(),
            "after {good} frames"
        );
    }
}

#[tokio::test]
async fn a_body_that_goes_on_after_it_has_failed_is_not_stored() {
    let layer = FallbackLayer::http().cached_http(by_path(), BodyExt::boxed_unsync);
    let response = Response::new(stream([data("1"), Err("bad checksum"), data("2")]));
    let mut body = layer
        .layer(server([response]))
        .oneshot(get("/"))
        .await
        .unwrap()
        .into_body();
    let mut frames = 0;
    while body.frame().await.is_some() {
        frames += 1;
    }
    assert_eq!(frames, 3);
    assert!(layer.layer(down()).oneshot(get("/")).await.is_err());
}

#[tokio::test]
async fn a_body_that_will_not_be_stored_is_not_wrapped() {
    let layer = FallbackLayer::http()
        .cached_http(
            |request: &Req| request.uri().query().map(str::to_owned),
            |_| panic!("wrapped"),
        )
        .max_body(3)
        .build()
        .unwrap();
    for (path, response) in [
        ("/", Response::new(full("no"))),           // no key
        ("/?key", Response::new(full("too long"))), // known to be too long
        ("/?key", status(404)),                     // not good
    ] {
        layer.layer(server([response])).oneshot(get(path)).await.unwrap();
    }
}

#[tokio::test]
async fn a_body_that_is_dropped_early_is_not_stored() {
    for read in 0..3 {
        let layer = FallbackLayer::http().cached_http(by_path(), BodyExt::boxed_unsync);
        let response = Response::new(stream([data("1"), data("2"), data("3")]));
        let mut body = layer
            .layer(server([response]))
            .oneshot(get("/"))
            .await
            .unwrap()
            .into_body();
        for _ in 0..read {
            body.frame().await.unwrap().unwrap();
        }
        drop(body);
        assert!(
            layer.layer(down()).oneshot(get("/")).await.is_err(),
            "after {read} frames"
        );
    }
}

#[tokio::test]
async fn a_body_longer_than_max_body_passes_by_and_is_not_stored() {
    for (sent, is_kept) in [("12345678", true), ("123456789", false)] {
        for known_length in [false, true] {
            let layer = FallbackLayer::http()
                .cached_http(by_path(), BodyExt::boxed_unsync)
                .max_body(8)
                .build()
                .unwrap();
            let body = if known_length {
                full(sent)
            } else {
                stream(sent.char_indices().map(|(at, _)| data(&sent[at..=at])))
            };
            let answer = layer
                .layer(server([Response::new(body)]))
                .oneshot(get("/"))
                .await
                .unwrap();
            assert_eq!(text(answer).await, sent, "it passes by whole");
            assert_eq!(
                layer.layer(down()).oneshot(get("/")).await.is_ok(),
                is_kept,
                "{sent}, {known_length}"
            );
        }
    }
    let refused = FallbackLayer::<Req, _>::http()
        .cached_http(by_path(), BodyExt::boxed_unsync)
        .max_body(0)
        .respond(|_, _| Response::new(full("")));
    assert!(refused.build().unwrap_err().to_string().contains("max_body = 0"));
}

#[tokio::test]
async fn neither_a_failed_nor_a_neutral_nor_a_partial_nor_a_personal_answer_is_stored() {
    for code in [200, 201, 203, 204] {
        assert!(kept(status(code)).await.is_some(), "{code}");
    }
    for code in [101, 206, 301, 304, 400, 401, 404, 429, 500, 503] {
        assert!(kept(status(code)).await.is_none(), "{code}");
    }
    for (name, value) in [
        ("set-cookie", "session=1"),
        ("cache-control", "no-store"),
        ("cache-control", "max-age=60, Private"),
        ("cache-control", "private=\"x-user\""),
    ] {
        let mut response = status(200);
        response.headers_mut().insert(name, HeaderValue::from_static(value));
        assert!(kept(response).await.is_none(), "{name}: {value}");
    }
    let mut response = status(200);
    response
        .headers_mut()
        .insert("cache-control", HeaderValue::from_static("no-cache, max-age=60"));
    assert!(kept(response).await.is_some());
}

#[tokio::test]
async fn a_degraded_answer_of_a_fallback_further_in_is_not_stored() {
    let inner = FallbackLayer::http().respond(|_, _| Response::new(full("sorry")));
    let outer = FallbackLayer::http().cached_http(by_path(), BodyExt::boxed_unsync);
    let answer = outer.layer(inner.layer(down())).oneshot(get("/")).await.unwrap();
    assert_eq!(text(answer).await, "sorry");
    assert!(outer.layer(down()).oneshot(get("/")).await.is_err());
}

#[tokio::test]
async fn a_grpc_answer_is_stored_when_its_trailers_say_ok_and_given_with_them() {
    let grpc = |frames: Vec<_>| {
        let mut response = Response::new(stream(frames));
        response
            .headers_mut()
            .insert("content-type", HeaderValue::from_static("application/grpc"));
        response
    };
    let answer = kept(grpc(vec![data("message"), grpc_trailers("0")])).await.unwrap();
    let body = answer.into_body().collect().await.unwrap();
    assert_eq!(body.trailers().unwrap()["grpc-status"], "0");
    assert_eq!(body.to_bytes(), "message");

    assert!(kept(grpc(vec![data("message"), grpc_trailers("14")])).await.is_none());
    assert!(kept(grpc(vec![data("message"), grpc_trailers("5")])).await.is_none());
    assert!(
        kept(grpc(vec![data("message")])).await.is_none(),
        "no trailers: it broke off"
    );
}

#[tokio::test]
async fn the_answer_to_a_head_request_is_not_given_for_a_get() {
    let layer = FallbackLayer::http().cached_http(by_path(), BodyExt::boxed_unsync);
    let mut head = get("/");
    *head.method_mut() = Method::HEAD;
    let again = head.clone();
    drop(
        layer
            .layer(server([Response::new(full(""))]))
            .oneshot(head)
            .await
            .unwrap(),
    );
    assert!(layer.layer(down()).oneshot(get("/")).await.is_err());

    let answer = layer.layer(server([status(200)])).oneshot(get("/")).await.unwrap();
    text(answer).await;
    assert!(
        layer.layer(down()).oneshot(again).await.is_ok(),
        "that of a GET is, for a HEAD"
    );
}

#[tokio::test(start_paused = true)]
async fn the_settings_of_the_cache_hold_for_http_too() {
    let second = Duration::from_secs(1);
    let layer = FallbackLayer::http()
        .cached_http(by_path(), BodyExt::boxed_unsync)
        .max_age(second * 10)
        .refresh_after(second * 2)
        .max_entries(1)
        .max_weight(20, |path: &String, stored| {
            (path.len() + stored.body_len()).try_into().unwrap()
        })
        .build()
        .unwrap();
    let send = async |body| {
        text(
            layer
                .layer(server([Response::new(full(body))]))
                .oneshot(get("/"))
                .await
                .unwrap(),
        )
        .await
    };
    send("old").await;
    tokio::time::advance(second).await;
    send("new").await;
    assert_eq!(
        text(layer.layer(down()).oneshot(get("/")).await.unwrap()).await,
        "old",
        "refresh_after"
    );
    tokio::time::advance(second).await;
    send("new").await;
    assert_eq!(text(layer.layer(down()).oneshot(get("/")).await.unwrap()).await, "new");
    tokio::time::advance(second * 11).await;
    assert!(layer.layer(down()).oneshot(get("/")).await.is_err(), "max_age");
}

#[tokio::test]
async fn keep_bytes_makes_the_whole_request_again_and_shares_its_bytes() {
    let bytes = Bytes::from(vec![b'x'; 1024]);
    let at = bytes.as_ptr();
    let backup = tower::service_fn(move |request: Request<Bytes>| {
        assert_eq!(request.method(), Method::PUT);
        assert_eq!(request.uri().path(), "/items/7");
        assert_eq!(request.headers()["x-tenant"], "blue");
        assert_eq!(request.extensions().get(), Some(&7_u8));
        assert_eq!(request.body().as_ptr(), at, "the same bytes, not a copy");
        std::future::ready(Ok::<_, BoxError>(Response::new(full("backup"))))
    });
    let broken = tower::service_fn(|_| std::future::ready(Err::<Response<Body>, _>(BoxError::from("down"))));
    let layer = FallbackLayer::http().keep(KeepBytes).service(backup);
    let mut request = Request::put("/items/7").header("x-tenant", "blue").body(bytes).unwrap();
    request.extensions_mut().insert(7_u8);
    let answer = layer.layer(broken).oneshot(request).await.unwrap();
    assert_eq!(text(answer).await, "backup");
}

#[tokio::test]
async fn keep_head_lets_a_backup_answer_what_came_without_a_body() {
    let backup = tower::service_fn(|request: Req| {
        let path = request.uri().path().to_owned();
        async move { Ok::<_, BoxError>(Response::new(Full::from(path).map_err(|e| match e {}).boxed_unsync())) }
    });
    let layer = FallbackLayer::http().keep(KeepHead).service(backup).respond(|kept, _| {
        Response::builder()
            .header("x-path", kept.uri.path())
            .body(full("else"))
            .unwrap()
    });
    assert_eq!(text(layer.layer(down()).oneshot(get("/a")).await.unwrap()).await, "/a");
    let post = Request::post("/b").body(Full::from("body")).unwrap();
    let answer = layer.layer(down()).oneshot(post).await.unwrap();
    assert_eq!(answer.headers()["x-path"], "/b");
    assert_eq!(text(answer).await, "else");
}

#[tokio::test]
async fn the_size_of_a_body_is_told_as_it_is() {
    let layer = FallbackLayer::http().cached_http(by_path(), BodyExt::boxed_unsync);
    let answer = layer
        .layer(server([Response::new(full("four"))]))
        .oneshot(get("/"))
        .await
        .unwrap();
    assert_eq!(answer.body().size_hint().exact(), Some(4));
    assert!(!answer.body().is_end_stream());
    text(answer).await;
    let answer = layer.layer(down()).oneshot(get("/")).await.unwrap();
    assert_eq!(answer.body().size_hint().exact(), Some(4));
    assert!(!answer.body().is_end_stream());
}

mod in_axum {
    use axum::Router;
    use axum::body::Body;
    use axum::extract::Request;
    use axum::http::StatusCode;
    use axum::response::{IntoResponse, Response};
    use axum::routing::{get, post};
    use fallback_layer::http::KeepHead;
    use fallback_layer::{Degraded, FallbackLayer};
    use http_body_util::BodyExt;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use tower::ServiceExt;

    async fn ask(app: &Router, method: &str, path: &str) -> (StatusCode, Option<&'static str>, String) {
        let request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
        let response = app.clone().oneshot(request).await.unwrap();
        let step = response.extensions().get::<Degraded>().map(|degraded| degraded.step);
        let status = response.status();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, step, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn a_router_with_a_cache_a_backup_and_a_last_word_stays_infallible() {
        let backup = Router::new().route("/b", get(|| async { "backup" }));
        let up = Arc::new(AtomicBool::new(true));
        let is_up = Arc::clone(&up);
        let handler = move || {
            let up = is_up.load(Ordering::Relaxed);
            async move {
                if up {
                    "real".into_response()
                } else {
                    StatusCode::BAD_GATEWAY.into_response()
                }
            }
        };
        let fallback = FallbackLayer::http()
            .keep(KeepHead)
            .cached_http(|request: &Request| Some(request.uri().path().to_owned()), Body::new)
            .service(backup)
            .when(|kept, _| kept.uri.path() == "/b")
            .at_most(10)
            .finally(|_, _| -> Response { (StatusCode::SERVICE_UNAVAILABLE, "sorry").into_response() })
            .build()
            .unwrap();
        let app = Router::new()
            .route("/a", get(handler.clone()))
            .route("/b", get(handler.clone()))
            .route("/c", post(handler))
            .layer(fallback);

        assert_eq!(ask(&app, "GET", "/a").await, (StatusCode::OK, None, "real".to_owned()));
        up.store(false, Ordering::Relaxed);
        assert_eq!(
            ask(&app, "GET", "/a").await,
            (StatusCode::OK, Some("cached"), "real".to_owned())
        );
        assert_eq!(
            ask(&app, "GET", "/b").await,
            (StatusCode::OK, Some("service"), "backup".to_owned())
        );
        let sorry = (StatusCode::SERVICE_UNAVAILABLE, Some("finally"), "sorry".to_owned());
        assert_eq!(ask(&app, "POST", "/c").await, sorry);
    }
}
