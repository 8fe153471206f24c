//! Runnable examples of Fusebox, one for each stack, and the gateway, which puts everything together.
//!
//! | `cargo run --release --example` | shows |
//! |---|---|
//! | `gateway` | an LLM gateway that survives its providers: a pool with health probes, circuits, limits, fallbacks, operators |
//! | `axum_routes` | a circuit for each route of an axum server, which stays `Infallible` |
//! | `tonic_client`, `tonic_server` | gRPC: codes and trailers count, an open circuit is `Unavailable` |
//! | `hyper_client`, `reqwest_client` | HTTP clients behind a circuit |
//! | `plain_async_fn` | any async function, without tower |
//! | `balance` | a balancer that leaves a broken endpoint out |
//! | `provider_pool` | three providers as one service: failover, drain, and why nobody could be asked |
//! | `health_probe` | a probe that opens a circuit before a call fails, and lets it close again |
//!
//! This library is the gateway; the small examples stand alone. It starts with three built-in providers that can be broken
//! and healed while it runs, and prints what to try; `--config gateway.toml` takes real ones, and `gateway/gateway.toml`
//! shows how. Read `gateway/chain.rs` and `gateway/pool.rs` first: that is where the layers are put together.

mod answer;
mod api;
mod args;
mod chain;
mod chat;
mod config;
mod demo;
mod pool;
mod shutdown;
mod status;
mod steering;
mod strategy;
mod token;
mod trail;
mod upstream;
mod wall;
mod welcome;

use std::io::Write as _;
use std::net::SocketAddr;
use std::process::ExitCode;

use tokio::net::TcpListener;
use tokio::runtime::Runtime;

use crate::args::Args;
use crate::config::Config;
use crate::steering::Steering;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// What is wrong with what the user wrote, in one line.
const BAD_CONFIGURATION: u8 = 2;

/// The program: reads its arguments, serves until Ctrl-C, and says how it ended.
pub fn main() -> ExitCode {
    let args = match args::parse(std::env::args().skip(1)) {
        Ok(args) => args,
        Err(line) => return end(BAD_CONFIGURATION, &format!("{line}\n\n{}", args::USAGE)),
    };
    if args.help {
        print!("{}", args::USAGE);
        return ExitCode::SUCCESS;
    }
    let ended = Runtime::new()
        .map_err(BoxError::from)
        .and_then(|runtime| runtime.block_on(run(args)));
    match ended {
        Ok(code) => code,
        Err(error) => end(1, &error.to_string()),
    }
}

/// Prints a text for people. Somebody who reads only the first line (`gateway | head -1`) ends nothing.
pub(crate) fn say(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

fn end(code: u8, line: &str) -> ExitCode {
    eprintln!("{}", line.trim_end());
    code.into()
}

async fn run(args: Args) -> Result<ExitCode, BoxError> {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_target(false)
        .init();
    let metrics = metrics_exporter_prometheus::PrometheusBuilder::new().install_recorder()?;
    let (mut config, demo) = if let Some(path) = &args.config {
        match Config::load(path) {
            Ok(config) => (config, Vec::new()),
            Err(line) => return Ok(end(BAD_CONFIGURATION, &line.to_string())),
        }
    } else {
        let demo = demo::start().await?;
        (Config::demo(&demo)?, demo)
    };
    if let Some(listen) = args.listen {
        config.listen = listen;
    }

    let listener = TcpListener::bind(config.listen).await.map_err(|error| {
        format!(
            "cannot listen on {}: {error}; choose another address with --listen, for instance 127.0.0.1:0",
            config.listen
        )
    })?;
    let address = listener.local_addr()?;
    let steering = Steering::new(address, config.admin_token.take());
    let text = if demo.is_empty() {
        welcome::configured(address, &config, steering.is_some())
    } else {
        welcome::demo(address, &demo)
    };
    let (pool, probes) = pool::pool(&config)?;
    pool::first_results(&probes).await;
    let gateway = api::Gateway {
        chain: chain::chain(&config, pool.clone())?,
        pool,
        probes: probes.into(),
        providers: config.providers.into(),
        demo: demo.into(),
        metrics,
    };
    let app = api::routes(gateway, steering).into_make_service_with_connect_info::<SocketAddr>();

    let signal = shutdown::signal()?;
    say(&text);
    shutdown::serve(listener, app, signal, config.drain).await?;
    Ok(ExitCode::SUCCESS)
}
