//! The layer for HTTP: marks in extensions, answers kept as they stream by, requests kept by their head and `Bytes`.
//!
//! ```
//! use std::convert::Infallible;
//!
//! use bytes::Bytes;
//! use fallback_layer::{Degraded, FallbackLayer, http::KeepBytes};
//! use http::{Request, Response, StatusCode};
//! use http_body_util::Full;
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! type Body = Full<Bytes>;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), fallback_layer::BoxError> {
//! let backup = service_fn(|_: Request<Body>| async { Ok::<_, Infallible>(Response::new(Body::from("from the backup"))) });
//!
//! let service = ServiceBuilder::new()
//!     .layer(FallbackLayer::http().keep(KeepBytes).service(backup).named("backup"))
//!     .service(service_fn(|_: Request<Body>| async {
//!         Response::builder().status(StatusCode::BAD_GATEWAY).body(Body::default())
//!     }));
//!
//! let response = service.oneshot(Request::new(Body::default())).await?;
//! assert_eq!(response.status(), StatusCode::OK);
//! assert_eq!(response.extensions().get::<Degraded>().unwrap().step, "backup");
//! # Ok(())
//! # }
//! ```

mod body;
mod cached;
mod keep;
mod mark;
mod record;

pub use body::CachedBody;
pub use cached::{CachedHttp, CachedHttpLayer, StoredResponse, WithCachedHttp};
pub use keep::{BytesBody, KeepBytes, KeepHead, KeptRequest};
pub use mark::HttpMark;
