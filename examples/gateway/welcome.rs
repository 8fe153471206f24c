//! What the gateway says when it starts: what to try, in lines that can be pasted.

use std::net::SocketAddr;

use crate::config::Config;
use crate::demo::{DemoProvider, Fault};
use crate::strategy::Strategy;

pub(crate) const ENDPOINTS: &str = "\
Fusebox gateway

POST /v1/chat/completions                        a chat completion; with \"stream\": true as server-sent events
GET  /v1/models                                  what can be asked for, and who provides it
GET  /health/providers                           the pool: who may be asked, and if not why; health probes
GET  /health/circuit-breakers                    every circuit
GET  /health/limits                              every concurrency limit
GET  /metrics                                    for Prometheus
POST /admin/circuit-breakers/{name}/{action}     reset, force-open, disable, metrics-only, release
GET  /demo/providers                             the built-in providers (without --config)
POST /demo/providers/{name}/fault/{fault}        none, errors, throttle, slow, hang, broken_stream, refuse
";

/// The text for a gateway with built-in providers.
pub(crate) fn demo(address: SocketAddr, providers: &[DemoProvider]) -> String {
    let asked: Vec<_> = providers
        .iter()
        .map(|provider| format!("{} ({})", provider.name, provider.address))
        .collect();
    let (asked, faults) = (asked.join(", "), Fault::names());
    format!(
        r#"Fusebox gateway on http://{address}
It asks, in this order: {asked};
then the last good answer for the same prompt, then a rule, then a static message.

Try it, in another terminal:

  G=http://{address}
  ask() {{ curl -si $G/v1/chat/completions -d '{{"model":"demo","messages":[{{"role":"user","content":"'"$1"'"}}]}}'; echo; }}
  break_it() {{ curl -s -X POST $G/demo/providers/$1/fault/$2; }}
  circuits() {{ curl -s $G/health/circuit-breakers; }}
  providers() {{ curl -s $G/health/providers; }}

  1. All is well                    ask "Why do fuses blow?"
     the primary answers            x-fusebox-answered-by: primary
  2. Break the primary              break_it primary errors
                                    for i in 1 2 3 4; do ask "Why do fuses blow?"; done
     the backup answers             x-fusebox-answered-by: backup
     after 3 failures the           circuits
     primary's circuit is open      "primary": {{ .. "state": "open", "reason": "consecutive_failures" .. }}
     and is not asked any more      x-fusebox-cause: refusal (it was: error)
  3. Break all three                for p in primary backup spare; do break_it $p errors; done
     the last good answer           ask "Why do fuses blow?"       x-fusebox-answered-by: cache
     a rule knows the word          ask "What is a fuse?"          x-fusebox-answered-by: rule
     nobody knows                   ask "What is love?"            x-fusebox-answered-by: static
  4. Heal them                      for p in primary backup spare; do break_it $p none; done
     when the probe says up, or     sleep 5; ask "Why do fuses blow?"; ask "Why do fuses blow?"; circuits
     after 5 s, two trials close it "primary": {{ .. "state": "closed", "reason": "trials_succeeded" .. }}
     and all may be asked again     providers
                                    "primary": {{ .. "available": true .. }}
     or close it by hand            curl -s -X POST $G/admin/circuit-breakers/primary/reset
  5. Take one down                  break_it primary refuse; sleep 4; providers
     its probe finds out, though    "primary": {{ .. "available": false, "out": "is held open" .. "state": "down" .. }}
     nobody has asked it            ask "Why do fuses blow?"       x-fusebox-answered-by: backup
     and back                       break_it primary none

  As a stream                       curl -sN $G/v1/chat/completions -d '{{"model":"demo","stream":true,"messages":[{{"role":"user","content":"hi"}}]}}'
  Eight at once                     for i in 1 2 3 4 5 6 7 8; do ask "Question $i" & done; wait
  Other faults                      {faults}
  Everything else                   curl -s $G/

Ctrl-C ends it, when the calls under way have ended.
"#
    )
}

/// The text for a gateway with providers from a file.
pub(crate) fn configured(address: SocketAddr, config: &Config, can_steer: bool) -> String {
    let asked: Vec<_> = config
        .providers
        .iter()
        .map(|provider| format!("{} ({})", provider.name, provider.url))
        .collect();
    let asked = asked.join(", ");
    let how = match config.strategy {
        Strategy::InOrder => "in this order".to_owned(),
        other => format!("by the strategy {}", other.as_str()),
    };
    // Any model will do where any is served.
    let model = config
        .providers
        .iter()
        .find_map(|provider| provider.serves.iter().find(|served| *served != "*"))
        .map_or("gpt-4o-mini", String::as_str);
    let steering = if can_steer {
        "Reset a circuit by hand:  curl -s -X POST $G/admin/circuit-breakers/NAME/reset"
    } else {
        "There are no control routes: others can reach this address, and the configuration has no admin_token."
    };
    format!(
        r#"Fusebox gateway on http://{address}
It asks, {how}: {asked};
then the last good answer for the same prompt, then a rule, then a static message.

  G=http://{address}
  curl -si $G/v1/chat/completions -d '{{"model":"{model}","messages":[{{"role":"user","content":"Why do fuses blow?"}}]}}'
  curl -s $G/health/providers
  curl -s $G/health/circuit-breakers
  {steering}

Ctrl-C ends it, when the calls under way have ended.
"#
    )
}
