//! A log that writes all that it sees, and sends it on when it is told a cluster.

use crate::Config;
use tamis_sdk::access_log::{AccessLog, LogEntry};
use tamis_sdk::{Result, Root, property};

pub(crate) struct Log {
    config: Config,
    root: Root,
}

impl AccessLog for Log {
    type Config = Config;

    fn new(config: Config, root: &Root) -> Result<Self> {
        Ok(Self { config, root: root.clone() })
    }

    fn log(&self, entry: &LogEntry) {
        let text = |bytes: Option<&[u8]>| bytes.map_or("-".into(), |b| b.escape_ascii().to_string());
        let property = |path: &[&str]| property::text(path).unwrap_or_else(|e| e.to_string());
        self.config.say(format_args!(
            "log {} {} -> {:?} {} {} details=\"{}\" size={:?}",
            text(entry.request().get(":method")),
            text(entry.request().get(":path")),
            entry.status(),
            text(entry.response().get("x-from")),
            text(entry.response_trailers().get("x-end")),
            property(&["response", "code_details"]),
            property::number(&["response", "size"]),
        ));
        if !self.config.cluster.is_empty() {
            let (config, call) = (self.config.clone(), self.config.ask("/logged"));
            self.root.spawn(async move {
                let status = call.send().await.map(|reply| reply.status());
                config.say(format_args!("sent: {status:?}"));
            });
        }
    }
}
