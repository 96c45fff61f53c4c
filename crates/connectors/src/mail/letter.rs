//! What a letter says, and how it looks.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

/// What is told: a subject, sentences, perhaps a code to copy and one thing to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Letter {
    /// The subject line.
    pub subject: String,
    /// Sentences, each a paragraph.
    pub lines: Vec<String>,
    /// A code to copy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// What the reader is asked to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<Action>,
    /// A last sentence in small print.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closing: Option<String>,
}

/// One thing to do, behind a link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Action {
    /// What it does, on a button.
    pub label: String,
    /// Where it leads.
    pub url: String,
}

impl Letter {
    /// A letter with a subject and nothing else yet.
    #[must_use]
    pub fn new(subject: impl Into<String>) -> Letter {
        Letter { subject: subject.into(), lines: Vec::new(), code: None, action: None, closing: None }
    }

    /// One more paragraph.
    #[must_use]
    pub fn line(mut self, sentence: impl Into<String>) -> Letter {
        self.lines.push(sentence.into());
        self
    }

    /// A code to copy.
    #[must_use]
    pub fn code(mut self, code: impl Into<String>) -> Letter {
        self.code = Some(code.into());
        self
    }

    /// What the reader is asked to do.
    #[must_use]
    pub fn action(mut self, label: impl Into<String>, url: impl Into<String>) -> Letter {
        self.action = Some(Action { label: label.into(), url: url.into() });
        self
    }

    /// The last sentence.
    #[must_use]
    pub fn closing(mut self, sentence: impl Into<String>) -> Letter {
        self.closing = Some(sentence.into());
        self
    }

    /// As plain text.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        for line in &self.lines {
            let _ = write!(text, "{}\r\n\r\n", plain(line));
        }
        if let Some(action) = &self.action {
            let _ = write!(text, "{}:\r\n{}\r\n\r\n", plain(&action.label), plain(&action.url));
        }
        if let Some(code) = &self.code {
            let _ = write!(text, "Code: {}\r\n\r\n", plain(code));
        }
        if let Some(closing) = &self.closing {
            let _ = write!(text, "--\r\n{}\r\n", plain(closing));
        }
        text
    }

    /// As HTML: one column, no pictures, no scripts, nothing fetched from anywhere.
    #[must_use]
    pub fn html(&self) -> String {
        let mut body = String::new();
        for line in &self.lines {
            let _ = write!(body, "<p>{}</p>\r\n", escaped(line));
        }
        if let Some(action) = &self.action {
            let (url, label) = (escaped(&action.url), escaped(&action.label));
            let _ = write!(
                body,
                "<p><a href=\"{url}\" style=\"display:inline-block;padding:10px 16px;background:#1f2937;color:#ffffff;\
                 text-decoration:none;border-radius:6px\">{label}</a></p>\r\n<p style=\"font-size:12px\">{url}</p>\r\n"
            );
        }
        if let Some(code) = &self.code {
            let _ = write!(body, "<p>Code: <code>{}</code></p>\r\n", escaped(code));
        }
        if let Some(closing) = &self.closing {
            let _ = write!(body, "<p style=\"font-size:12px;color:#6b7280\">{}</p>\r\n", escaped(closing));
        }
        format!(
            "<!doctype html>\r\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{}</title></head>\r\n\
             <body style=\"font-family:sans-serif;max-width:36em;margin:2em auto;line-height:1.5;color:#111827\">\r\n{body}</body></html>\r\n",
            escaped(&self.subject)
        )
    }
}

/// Without line breaks and other control characters, which could pretend to be another paragraph.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            c if c.is_control() => safe.push(' '),
            c => safe.push(c),
        }
    }
    safe
}
