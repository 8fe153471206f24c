//! The scripts, and how an operation becomes the call of one.

use redis::{Cmd, Script};

use crate::budget::Freeze;
use crate::store::{Ask, FIX_MS, MOST_RECORDS, Operation, Outcome, Settlement, Track};
use crate::wall::millis;

macro_rules! script {
    ($file:literal) => {
        Text::new(concat!(include_str!("common.lua"), include_str!($file)))
    };
}

struct Text {
    text: &'static str,
    hash: String,
}

impl Text {
    fn new(text: &'static str) -> Self {
        Self {
            text,
            hash: Script::new(text).get_hash().to_owned(),
        }
    }
}

pub(super) struct Scripts {
    decide: Text,
    settle: Text,
    frost: Text,
    anomaly: Text,
    repairs: Text,
}

/// One call of one script.
pub(super) struct Call<'a> {
    script: &'a Text,
    keys: Vec<String>,
    args: Vec<String>,
}

impl Call<'_> {
    pub(super) fn by_hash(&self) -> Cmd {
        self.command("EVALSHA", &self.script.hash)
    }

    pub(super) fn by_text(&self) -> Cmd {
        self.command("EVAL", self.script.text)
    }

    fn command(&self, name: &str, script: &str) -> Cmd {
        let mut command = redis::cmd(name);
        command.arg(script).arg(self.keys.len()).arg(&self.keys).arg(&self.args);
        command
    }
}

impl Scripts {
    pub(super) fn new() -> Self {
        Self {
            decide: script!("decide.lua"),
            settle: script!("settle.lua"),
            frost: script!("frost.lua"),
            anomaly: script!("anomaly.lua"),
            repairs: script!("repairs.lua"),
        }
    }

    pub(super) fn call(&self, prefix: &str, operation: &Operation, now: Option<u64>) -> Call<'_> {
        let time = now.map(|now| now.to_string()).unwrap_or_default();
        let anomaly = |ledger: &str, key: &dyn std::fmt::Display, mode: &str, text: String| Call {
            script: &self.anomaly,
            keys: vec![
                format!("{prefix}:seen:{ledger}:{key}"),
                format!("{prefix}:notes:{ledger}:{key}"),
            ],
            args: vec![
                time.clone(),
                mode.to_owned(),
                text,
                MOST_RECORDS.to_string(),
                FIX_MS.to_string(),
            ],
        };
        let frost = |cooldown: &str, mode: &str, reason: &str| Call {
            script: &self.frost,
            keys: vec![format!("{prefix}:frozen:{cooldown}")],
            args: vec![time.clone(), mode.to_owned(), reason.to_owned()],
        };
        match operation {
            Operation::Decide(ask) => self.ask(prefix, ask, &time, "decide", 0),
            Operation::Look(ask) => self.ask(prefix, ask, &time, "look", 0),
            Operation::Settle(settlements) => self.settle(prefix, settlements, time),
            // Each unit that is owed is a call by itself: see `give`.
            Operation::Repay(_) => self.settle(prefix, &[], time),
            Operation::Freeze { cooldown, reason } => frost(cooldown, "freeze", reason),
            Operation::Thaw { cooldown } => frost(cooldown, "thaw", ""),
            Operation::Record { id, ledger, key } => anomaly(ledger, key, "record", id.to_string()),
            Operation::Frequency { ledger, key } => anomaly(ledger, key, "read", String::new()),
            Operation::Fixed {
                ledger,
                key,
                description,
            } => anomaly(ledger, key, "fix", description.clone()),
            Operation::Repaired { id, track, succeeded } => Call {
                script: &self.repairs,
                keys: vec![record(prefix, track)],
                args: vec![
                    time,
                    id.to_string(),
                    track.kind.clone(),
                    if *succeeded { "s" } else { "f" }.to_owned(),
                ],
            },
            Operation::Repairs { space, key } => Call {
                script: &self.repairs,
                keys: vec![format!("{prefix}:record:{space}:{key}")],
                args: vec![time],
            },
        }
    }

    /// A unit that was given while the server was away.
    pub(super) fn give(&self, prefix: &str, ask: &Ask, now: Option<u64>, age_ms: u64) -> Call<'_> {
        let time = now.map(|now| now.to_string()).unwrap_or_default();
        self.ask(prefix, ask, &time, "give", age_ms)
    }

    fn ask(&self, prefix: &str, ask: &Ask, time: &str, mode: &str, age_ms: u64) -> Call<'_> {
        let open = open(prefix, &ask.cooldown);
        let seen = match (&ask.person, &ask.track) {
            (Some((ledger, _)), Some(track)) => format!("{prefix}:seen:{ledger}:{}", track.key),
            _ => open.clone(), // not touched
        };
        let mut keys = vec![
            format!("{prefix}:frozen:{}", ask.cooldown),
            open.clone(),
            ask.track.as_ref().map_or(open, |track| record(prefix, track)),
            seen,
        ];
        keys.extend(ask.logs.iter().map(|log| format!("{prefix}:log:{}", log.key)));
        keys.extend(ask.budgets.iter().map(|budget| {
            format!(
                "{prefix}:cold:{}|{}/{}",
                ask.logs[budget.log].key, budget.of, budget.per_ms
            )
        }));
        let (under, after) = ask.futile.map_or_else(Default::default, |rule| {
            (rule.under.to_string(), rule.after.to_string())
        });
        let mut args = vec![
            mode.to_owned(),
            time.to_owned(),
            ask.id.to_string(),
            ask.cost.to_string(),
            ask.lease_ms.to_string(),
            u8::from(ask.track.is_some()).to_string(),
            ask.track.as_ref().map(|track| track.kind.clone()).unwrap_or_default(),
            under,
            after,
            ask.person
                .as_ref()
                .filter(|_| ask.track.is_some())
                .map(|(_, from)| from.to_string())
                .unwrap_or_default(),
            age_ms.to_string(),
            ask.logs.len().to_string(),
            ask.budgets.len().to_string(),
        ];
        args.extend(ask.logs.iter().map(|log| log.keep_ms.to_string()));
        for budget in &ask.budgets {
            let freeze = match budget.freeze {
                Freeze::UntilWindowClears => "c".to_owned(),
                Freeze::UntilThaw => "t".to_owned(),
                Freeze::For(time) => millis(time).to_string(),
            };
            args.extend([
                budget.log.to_string(),
                budget.of.to_string(),
                budget.per_ms.to_string(),
                freeze,
            ]);
        }
        Call {
            script: &self.decide,
            keys,
            args,
        }
    }

    fn settle(&self, prefix: &str, settlements: &[Settlement], time: String) -> Call<'_> {
        let (mut keys, mut args) = (Vec::new(), vec![time]);
        for settlement in settlements {
            let open = open(prefix, &settlement.cooldown);
            keys.push(open.clone());
            keys.push(settlement.track.as_ref().map_or(open, |track| record(prefix, track)));
            let mark = match settlement.outcome {
                Outcome::Succeeded => "s",
                Outcome::Failed => "f",
                Outcome::Abandoned => "a",
            };
            args.extend([
                settlement.id.to_string(),
                mark.to_owned(),
                u8::from(settlement.track.is_some()).to_string(),
            ]);
        }
        Call {
            script: &self.settle,
            keys,
            args,
        }
    }
}

fn open(prefix: &str, cooldown: &str) -> String {
    format!("{prefix}:open:{cooldown}")
}

fn record(prefix: &str, track: &Track) -> String {
    format!("{prefix}:record:{}:{}", track.space, track.key)
}
