//! The control panel of the running link.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use reqwest::Method;
use wan::Directed;
use wan::wire::{Changes, View};

use crate::platform::Layout;

/// It answers from memory, on this machine.
const ANSWER_LIMIT: Duration = Duration::from_secs(2);

/// The control panel of the running link.
pub struct Panel {
    http: reqwest::Client,
    url: String,
}

impl Panel {
    /// Of this system; not asked yet.
    pub fn of(layout: &Layout) -> Result<Self> {
        let http = reqwest::Client::builder().timeout(ANSWER_LIMIT).build()?;
        Ok(Self { http, url: format!("http://{}/link", layout.wan()) })
    }

    /// What the link is like.
    pub async fn show(&self) -> Result<Directed<View>> {
        self.ask(Method::GET, None).await
    }

    /// Changes what is named. Returns what the link is like then.
    pub async fn change(&self, changes: &Changes) -> Result<Directed<View>> {
        self.ask(Method::PATCH, Some(changes)).await
    }

    /// Back to how it started. Returns what the link is like then.
    pub async fn reset(&self) -> Result<Directed<View>> {
        self.ask(Method::PUT, Some(&Changes::default())).await
    }

    async fn ask(&self, method: Method, body: Option<&Changes>) -> Result<Directed<View>> {
        let mut request = self.http.request(method, &self.url);
        if let Some(body) = body {
            request = request.json(body);
        }
        let does_not_run = "the link does not answer; `backbone start outside/wan` starts it";
        let answer = request.send().await.context(does_not_run)?;
        if answer.status().is_success() {
            return Ok(answer.json().await?);
        }
        let refusal: serde_json::Value = answer.json().await?;
        bail!("the link refuses: {}", refusal["error"].as_str().unwrap_or("without a reason"))
    }
}
