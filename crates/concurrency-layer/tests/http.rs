//! HTTP and gRPC: how long a slot is held, and what a refusal looks like.
#![cfg(feature = "http")]

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use concurrency_layer::{BoxError, ConcurrencyLayer, Limit, Overloaded, Reason};
use http::{Request, Response, StatusCode};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Full, StreamBody};
use tower::{Layer, ServiceExt, service_fn};

/// A body of some frames and then what comes last.
#[derive(Default)]
struct Frames {
    left: u32,
    fails: bool,
}

impl From<Bytes> for Frames {
    fn from(_: Bytes) -> Self {
        Self::default()
    }
}

impl Body for Frames {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if self.left == 0 {
            return Poll::Ready(self.fails.then(|| Err(std::io::Error::other("broken off"))));
        }
        self.left -= 1;
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"frame")))))
    }
}

fn answering(
    left: u32,
    fails: bool,
) -> impl tower::Service<Request<()>, Response = Response<Frames>, Error = Infallible, Future: Send> + Clone {
    service_fn(move |_: Request<()>| async move { Ok::<_, Infallible>(Response::new(Frames { left, fails })) })
}

fn grpc() -> Request<()> {
    Request::builder()
        .header("content-type", "application/grpc")
        .body(())
        .unwrap()
}

#[tokio::test]
async fn the_permit_lasts_to_the_end_of_the_body() {
    let limit = Limit::fixed(1).build().unwrap();
    let service = ConcurrencyLayer::http(limit).layer(answering(2, false));
    let mut body = service.oneshot(Request::new(())).await.unwrap().into_body();
    for _ in 0..2 {
        assert_eq!(limit.in_flight(), 1);
        assert!(body.frame().await.unwrap().is_ok());
    }
    assert!(body.frame().await.is_none());
    assert_eq!(limit.in_flight(), 0, "over, though the body is still held");
}

#[tokio::test]
async fn the_permit_comes_back_when_the_body_fails_or_is_dropped() {
    let limit = Limit::fixed(1).build().unwrap();
    let service = ConcurrencyLayer::http(limit).layer(answering(0, true));
    let mut body = service.clone().oneshot(Request::new(())).await.unwrap().into_body();
    assert_eq!(limit.in_flight(), 1);
    assert!(body.frame().await.unwrap().is_err());
    assert_eq!(limit.in_flight(), 0);
    let response = service.oneshot(Request::new(())).await.unwrap();
    assert_eq!(limit.in_flight(), 1);
    drop(response);
    assert_eq!(limit.in_flight(), 0);
}

#[tokio::test]
async fn a_response_without_a_body_gives_the_permit_back_at_its_head() {
    let limit = Limit::fixed(1).build().unwrap();
    let service = ConcurrencyLayer::http(limit).layer(service_fn(|_: Request<()>| async {
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
    }));
    let _response = service.oneshot(Request::new(())).await.unwrap();
    assert_eq!(limit.in_flight(), 0);
}

#[tokio::test]
async fn an_error_gives_the_permit_back_and_stays_what_it_is() {
    let limit = Limit::fixed(1).build().unwrap();
    let inner = service_fn(|_: Request<()>| async { Err::<Response<Full<Bytes>>, _>(std::fmt::Error) });
    let error: std::fmt::Error = ConcurrencyLayer::http(limit)
        .layer(inner)
        .oneshot(Request::new(()))
        .await
        .unwrap_err();
    assert_eq!(error, std::fmt::Error);
    assert_eq!(limit.in_flight(), 0);
}

#[tokio::test]
async fn a_refusal_is_a_503_with_retry_after_and_a_problem_document() {
    let limit = Limit::fixed(1)
        .name("chat")
        .retry_after(Duration::from_millis(1_200))
        .build()
        .unwrap();
    let service = ConcurrencyLayer::http(limit).layer(service_fn(|_: Request<()>| async {
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
    }));
    let _permit = limit.try_acquire().unwrap();
    let response = service.oneshot(Request::new(())).await.unwrap();
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(response.headers()["retry-after"], "2");
    assert_eq!(response.headers()["content-type"], "application/problem+json");
    // For the layers above: this is a refusal, and nothing was called.
    assert!(response.extensions().get::<state_core::Refusal>().is_some());
    assert!(response.extensions().get::<concurrency_layer::Overloaded>().is_some());
    let body = response.into_body().collect().await.unwrap().to_bytes();
    let text = std::str::from_utf8(&body).unwrap();
    assert!(text.contains(r#"limit \"chat\" is full: 1 of 1 in flight"#), "{text}");
    assert_eq!(limit.in_flight(), 1, "a refusal holds nothing");
}

#[tokio::test]
async fn a_refused_grpc_request_gets_a_trailers_only_unavailable() {
    let limit = Limit::fixed(1).name("chat").build().unwrap();
    let service = ConcurrencyLayer::http(limit).layer(answering(1, false));
    let _permit = limit.try_acquire().unwrap();
    let response = service.oneshot(grpc()).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()["grpc-status"], "14");
    assert_eq!(response.headers()["grpc-retry-pushback-ms"], "1000");
    assert!(response.into_body().frame().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn who_waited_too_long_gets_the_same_answer() {
    let limit = Limit::fixed(1).queue(5, Duration::from_secs(2)).build().unwrap();
    let service = ConcurrencyLayer::http(limit).layer(answering(1, false));
    let _permit = limit.try_acquire().unwrap();
    let (http, grpc) = tokio::join!(service.clone().oneshot(Request::new(())), service.oneshot(grpc()));
    assert_eq!(http.unwrap().status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(grpc.unwrap().headers()["grpc-status"], "14");
    assert_eq!((limit.in_flight(), limit.waiting()), (1, 0));
}

#[tokio::test]
async fn the_next_in_line_comes_in_when_the_body_ends_not_when_the_head_is_there() {
    let limit = Limit::fixed(1).queue(5, Duration::from_secs(60)).build().unwrap();
    let service = ConcurrencyLayer::http(limit).layer(answering(1, false));
    let first = service.clone().oneshot(Request::new(())).await.unwrap();
    let second = tokio::spawn(service.oneshot(Request::new(())));
    for _ in 0..5 {
        tokio::task::yield_now().await;
    }
    assert!(!second.is_finished());
    drop(first.into_body().collect().await.unwrap());
    assert_eq!(second.await.unwrap().unwrap().status(), StatusCode::OK);
}

#[tokio::test]
async fn on_refused_makes_the_response_and_bodies_are_still_held() {
    let limit = Limit::fixed(1).build().unwrap();
    let layer = ConcurrencyLayer::http(limit).on_refused(|overloaded| {
        Response::builder()
            .status(429)
            .body(Full::from(overloaded.reason().to_string()))
            .unwrap()
    });
    let service = layer.layer(service_fn(|_: Request<()>| async {
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::from("hello")))
    }));
    let held = service.clone().oneshot(Request::new(())).await.unwrap();
    assert_eq!(limit.in_flight(), 1);
    let refused = service.oneshot(Request::new(())).await.unwrap();
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(refused.into_body().collect().await.unwrap().to_bytes(), "full");
    drop(held);
    assert_eq!(limit.in_flight(), 0);
}

#[tokio::test]
async fn body_long_takes_bodies_of_any_kind_and_refuses_with_an_error() {
    let limit = Limit::fixed(1).build().unwrap();
    let service = ConcurrencyLayer::body_long(limit).layer(service_fn(|_: Request<()>| async {
        // A body that cannot be made of bytes.
        let frames = tokio_stream_of_one();
        Ok::<_, Infallible>(Response::new(StreamBody::new(frames)))
    }));
    let held = service.clone().oneshot(Request::new(())).await.unwrap();
    assert_eq!(limit.in_flight(), 1);
    let error: BoxError = service.oneshot(Request::new(())).await.err().unwrap();
    assert_eq!(Overloaded::find(&*error).unwrap().reason(), Reason::Full);
    assert_eq!(held.into_body().collect().await.unwrap().to_bytes(), "one");
    assert_eq!(limit.in_flight(), 0);
}

fn tokio_stream_of_one() -> impl futures_core::Stream<Item = Result<Frame<Bytes>, Infallible>> + Unpin {
    struct Once(Option<Bytes>);
    impl futures_core::Stream for Once {
        type Item = Result<Frame<Bytes>, Infallible>;
        fn poll_next(mut self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
            Poll::Ready(self.0.take().map(|bytes| Ok(Frame::data(bytes))))
        }
    }
    Once(Some(Bytes::from_static(b"one")))
}

#[test]
fn http_services_are_clone_send_sync_static_and_futures_send() {
    fn citizen<T: Clone + Send + Sync + 'static>(_: &T) {}
    fn send<T: Send>(_: T) {}
    let limit = Limit::fixed(1).build().unwrap();
    let service = ConcurrencyLayer::http(limit).layer(answering(1, false));
    citizen(&service);
    citizen(&ConcurrencyLayer::http(limit));
    citizen(&ConcurrencyLayer::body_long(limit));
    send(service.oneshot(Request::new(())));
}
