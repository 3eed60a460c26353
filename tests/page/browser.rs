//! A headless chromium, driven over its debugging pipe: JSON messages with a zero byte behind each, on descriptors 3 and 4.

use nix::sys::signal::{Signal, killpg};
use nix::sys::stat::Mode;
use nix::unistd::{Pid, geteuid, mkfifo};
use serde_json::{Value, json};
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;
use tanist::view::data::Base64;
use tempfile::TempDir;

/// How long the browser, or what the page waits for, may take.
const LONG: Duration = Duration::from_secs(30);

/// Messages of the browser that wait for the test.
const MESSAGES: usize = 4096;

/// A running browser; it and all that it started are killed when this is dropped.
pub struct Browser {
    child: Child,
    to: File,
    from: Receiver<Value>,
    last: u64,
    /// What the page told while something else was awaited.
    told: Vec<Value>,
    session: Option<String>,
    /// Its profile, and the pipes.
    _dir: TempDir,
}

impl Browser {
    /// Starts one with an empty page; none where there is no chromium, which a test that must run does not take.
    pub fn start() -> Option<Browser> {
        let found = Command::new("chromium").arg("--version").output().is_ok_and(|out| out.status.success());
        if !found {
            assert!(std::env::var_os("TANIST_TESTS_MUST_RUN").is_none(), "there is no chromium here");
            eprintln!("skipped: there is no chromium here");
            return None;
        }
        let dir = tempfile::tempdir().expect("a directory");
        let (to, from) = (dir.path().join("to"), dir.path().join("from"));
        for pipe in [&to, &from] {
            mkfifo(pipe, Mode::S_IRUSR | Mode::S_IWUSR).expect("a pipe");
        }
        let mut command = Command::new("sh");
        command.args(["-c", "to=$1 from=$2; shift 2; exec \"$@\" 3<\"$to\" 4>\"$from\"", "sh"]).arg(&to).arg(&from);
        command.args(["chromium", "--headless", "--remote-debugging-pipe", "--disable-gpu", "--disable-dev-shm-usage"]);
        command.args(["--no-first-run", "--disable-background-networking", "--disable-component-update"]);
        command.args(["--disable-sync", "--disable-extensions", "--hide-scrollbars"]);
        command.arg(format!("--user-data-dir={}", dir.path().join("profile").display()));
        if geteuid().is_root() {
            command.arg("--no-sandbox");
        }
        let child = command.arg("about:blank").env("HOME", dir.path()).process_group(0);
        let child = child.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("a shell");
        let to = File::options().write(true).open(to).expect("the shell reads it");
        let answers = BufReader::new(File::open(from).expect("the shell writes it"));
        let (sender, from) = sync_channel(MESSAGES);
        std::thread::spawn(move || {
            for message in answers.split(0).map_while(Result::ok) {
                let message = serde_json::from_slice(&message).expect("the browser speaks JSON");
                if sender.send(message).is_err() {
                    return;
                }
            }
        });
        let mut browser = Browser { child, to, from, last: 0, told: Vec::new(), session: None, _dir: dir };
        let target = browser.ask("Target.createTarget", json!({"url": "about:blank"}))["targetId"].clone();
        let session = browser.ask("Target.attachToTarget", json!({"targetId": target, "flatten": true}));
        browser.session = session["sessionId"].as_str().map(str::to_owned);
        for domain in ["Page", "Runtime", "Network", "Log"] {
            browser.ask(&format!("{domain}.enable"), json!({}));
        }
        Some(browser)
    }

    /// The answer to a command.
    fn ask(&mut self, method: &str, params: Value) -> Value {
        self.last += 1;
        let mut message = json!({"id": self.last, "method": method, "params": params});
        if let Some(session) = &self.session {
            message["sessionId"] = json!(session);
        }
        self.to.write_all(format!("{message}\0").as_bytes()).expect("the browser reads");
        loop {
            let Ok(mut message) = self.from.recv_timeout(LONG) else { panic!("no answer to {method} {params}") };
            if message["id"] == self.last {
                assert!(message["error"].is_null(), "{method} {params}: {message}");
                return message["result"].take();
            }
            self.told.push(message);
        }
    }

    /// Opens an address, and waits until all of the page is there.
    pub fn open(&mut self, address: &str) {
        self.told.retain(|message| message["method"] != "Page.loadEventFired");
        let went = self.ask("Page.navigate", json!({"url": address}));
        assert!(went["errorText"].is_null(), "{address}: {went}");
        while !self.told.iter().any(|message| message["method"] == "Page.loadEventFired") {
            let message = self.from.recv_timeout(LONG).unwrap_or_else(|_| panic!("{address} is not there"));
            self.told.push(message);
        }
    }

    /// How large the window is, and whether the user likes it dark.
    pub fn looks(&mut self, width: u32, height: u32, dark: bool) {
        let size = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600});
        self.ask("Emulation.setDeviceMetricsOverride", size);
        let scheme = if dark { "dark" } else { "light" };
        let scheme = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        self.ask("Emulation.setEmulatedMedia", scheme);
    }

    /// What an expression of JavaScript gives in the page.
    pub fn value(&mut self, expression: &str) -> Value {
        let params = json!({"expression": expression, "returnByValue": true, "awaitPromise": true});
        let mut answer = self.ask("Runtime.evaluate", params);
        assert!(answer["exceptionDetails"].is_null(), "{expression}: {answer}");
        answer["result"]["value"].take()
    }

    /// Waits until an expression is true in the page.
    pub fn until(&mut self, condition: &str) {
        let text = "document.body.innerText.slice(0, 3000)";
        let met = self.value(&format!(
            "new Promise((met) => {{ const end = Date.now() + 25000; const look = () => {{
               if ({condition}) met(''); else if (Date.now() > end) met({text} + ' '); else setTimeout(look, 10); }}; look(); }})"
        ));
        assert_eq!(met, "", "the page never had {condition}");
    }

    /// The whole page as a picture, and where it was put.
    pub fn picture(&mut self, folder: &Path, name: &str) -> PathBuf {
        // The members take a second to glide to their places.
        self.value("new Promise((over) => setTimeout(over, 1600))");
        let shot = self.ask("Page.captureScreenshot", json!({"format": "png", "captureBeyondViewport": true}));
        let Base64(bytes) = serde_json::from_value(shot["data"].clone()).expect("a picture");
        let path = folder.join(format!("{name}.png"));
        std::fs::create_dir_all(folder).expect("a folder");
        std::fs::write(&path, &bytes).expect("written");
        path
    }

    /// Every address that the page asked for.
    pub fn asked(&self) -> Vec<String> {
        let requests = self.told.iter().filter(|message| message["method"] == "Network.requestWillBeSent");
        requests.filter_map(|message| Some(message["params"]["request"]["url"].as_str()?.to_owned())).collect()
    }

    /// Everything that the console has to complain of; what the network does is left out when it `may_fail`.
    pub fn complaints(&self, may_fail: bool) -> Vec<String> {
        let complains = |message: &&Value| {
            let params = &message["params"];
            match message["method"].as_str() {
                Some("Runtime.exceptionThrown") => true,
                Some("Runtime.consoleAPICalled") => params["type"] == "error" || params["type"] == "warning",
                Some("Log.entryAdded") => !(may_fail && params["entry"]["source"] == "network"),
                _ => false,
            }
        };
        self.told.iter().filter(complains).map(|message| message["params"].to_string()).collect()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = killpg(Pid::from_raw(self.child.id().cast_signed()), Signal::SIGKILL);
        let _ = self.child.wait();
    }
}
