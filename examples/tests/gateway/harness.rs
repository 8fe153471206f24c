//! A gateway as a process of its own, and the waiting that a test of real servers needs.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::{sleep, timeout};

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(20);

/// The program under test: what the example runs too.
const PROGRAM: &str = env!("CARGO_BIN_EXE_gateway-process");

/// What the environment of a gateway holds: the keys that its configurations name.
const KEYS: [(&str, &str); 2] = [("OPENAI_API_KEY", "key-1"), ("GROQ_API_KEY", "key-2")];

pub(crate) struct Gateway {
    child: Child,
    stdout: BufReader<ChildStdout>,
    base: String,
    client: reqwest::Client,
}

impl Gateway {
    /// Starts it on a free port, and waits until it says that it listens.
    pub(crate) async fn start(arguments: &[&str]) -> Self {
        let mut child = Command::new(PROGRAM)
            .args(["--listen", "127.0.0.1:0"])
            .args(arguments)
            .envs(KEYS)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("the gateway starts");
        let mut stdout = BufReader::new(child.stdout.take().expect("its output is piped"));
        let mut line = String::new();
        timeout(PATIENCE, stdout.read_line(&mut line))
            .await
            .expect("in time")
            .expect("it says something");
        let base = line
            .trim()
            .strip_prefix("Fusebox gateway on ")
            .expect("it says where it listens")
            .to_owned();
        Self {
            child,
            stdout,
            base,
            client: reqwest::Client::new(),
        }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// One chat, answered in whole.
    pub(crate) async fn ask(&self, prompt: &str) -> Answer {
        Answer::of(self.send(&chat(prompt, false)).await).await
    }

    pub(crate) async fn send(&self, body: &Value) -> reqwest::Response {
        let request = self
            .client
            .post(self.url("/v1/chat/completions"))
            .body(body.to_string());
        request.send().await.expect("the gateway answers")
    }

    pub(crate) async fn post(&self, path: &str) -> (u16, Value) {
        self.post_with(path, &[]).await
    }

    pub(crate) async fn post_with(&self, path: &str, headers: &[(&str, &str)]) -> (u16, Value) {
        let mut request = self.client.post(self.url(path));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = request.send().await.expect("the gateway answers");
        (response.status().as_u16(), response.json().await.unwrap_or(Value::Null))
    }

    pub(crate) async fn get(&self, path: &str) -> String {
        let response = self
            .client
            .get(self.url(path))
            .send()
            .await
            .expect("the gateway answers");
        response.text().await.expect("in whole")
    }

    /// Breaks or heals a built-in provider.
    pub(crate) async fn fault(&self, provider: &str, fault: &str) {
        let (status, said) = self.post(&format!("/demo/providers/{provider}/fault/{fault}")).await;
        assert_eq!((status, &said["fault"]), (200, &json!(fault)), "{said}");
    }

    pub(crate) async fn circuit(&self, name: &str) -> Value {
        let all: Value = serde_json::from_str(&self.get("/health/circuit-breakers").await).expect("JSON");
        all[name].clone()
    }

    pub(crate) async fn state(&self, name: &str) -> String {
        self.circuit(name).await["state"].as_str().expect("a state").to_owned()
    }

    pub(crate) async fn in_flight(&self) -> u64 {
        let all: Value = serde_json::from_str(&self.get("/health/limits").await).expect("JSON");
        all.as_object()
            .expect("an object")
            .values()
            .filter_map(|limit| limit["in_flight"].as_u64())
            .sum()
    }

    /// Waits until a circuit is in a state.
    pub(crate) async fn until_state(&self, name: &str, wanted: &str) {
        until(&format!("{name} to be {wanted}"), || async {
            (self.state(name).await == wanted).then_some(())
        })
        .await;
    }

    /// What Ctrl-C does.
    pub(crate) fn interrupt(&self) {
        let id = self.child.id().expect("it runs").try_into().expect("a process id");
        let id = rustix::process::Pid::from_raw(id).expect("a process id");
        rustix::process::kill_process(id, rustix::process::Signal::INT).expect("it can be told");
    }

    /// How it ends, and what it said.
    pub(crate) async fn ended(mut self) -> (ExitStatus, String) {
        let mut said = String::new();
        timeout(PATIENCE, self.stdout.read_to_string(&mut said))
            .await
            .expect("in time")
            .expect("text");
        let status = timeout(PATIENCE, self.child.wait())
            .await
            .expect("in time")
            .expect("a status");
        (status, said)
    }
}

/// An answer that came whole.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) by: String,
    pub(crate) provider: String,
    pub(crate) cause: String,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) async fn of(response: reqwest::Response) -> Self {
        let header = |name: &str| {
            let value = response
                .headers()
                .get(name)
                .map(|value| value.to_str().expect("ASCII").to_owned());
            value.unwrap_or_default()
        };
        let (status, by) = (response.status().as_u16(), header("x-fusebox-answered-by"));
        let (provider, cause) = (header("x-fusebox-provider"), header("x-fusebox-cause"));
        let body: Value = response.json().await.expect("JSON");
        let text = body["choices"][0]["message"]["content"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        Self {
            status,
            by,
            provider,
            cause,
            text,
        }
    }
}

pub(crate) fn chat(prompt: &str, stream: bool) -> Value {
    json!({ "model": "demo", "stream": stream, "messages": [{ "role": "user", "content": prompt }] })
}

/// Asks again and again until there is an answer.
///
/// # Panics
///
/// When there is none in 30 seconds.
pub(crate) async fn until<T, F: Future<Output = Option<T>>>(what: &str, mut ask: impl FnMut() -> F) -> T {
    let asking = async {
        loop {
            if let Some(answer) = ask().await {
                return answer;
            }
            sleep(PAUSE).await;
        }
    };
    timeout(PATIENCE, asking)
        .await
        .unwrap_or_else(|_| panic!("waited in vain for {what}"))
}

/// Runs the gateway to its end: exit code, what it printed, what it complained about.
pub(crate) async fn run(arguments: &[&str]) -> (Option<i32>, String, String) {
    let running = Command::new(PROGRAM).args(arguments).kill_on_drop(true).output();
    let output = timeout(PATIENCE, running).await.expect("in time").expect("it starts");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// A file that is gone at the end of the test.
pub(crate) struct TempFile(PathBuf);

impl TempFile {
    pub(crate) fn new(name: &str, text: &str) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{}-{name}", std::process::id()));
        std::fs::write(&path, text).expect("a file can be written");
        Self(path)
    }

    pub(crate) fn path(&self) -> &str {
        self.0.to_str().expect("a path of text")
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}
