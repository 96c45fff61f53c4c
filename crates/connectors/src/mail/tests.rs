//! What holds for letters, whoever carries them.

use std::sync::{Arc, Mutex};

use secrecy::SecretString;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;

use super::{Error, Letter, Mail, Post, is_address};

fn letter() -> Letter {
    Letter::new("Welcome to <Acme>")
        .line("Somebody called <b>Ann & Bob</b> invites you.\nIgnore the second line.")
        .action("Accept", "https://example.com/a?x=1&y=2")
        .code("tgi_0123")
        .closing("Nobody else can use this code.")
}

fn post(letter: &Letter) -> Post<'_> {
    Post { id: "mail_1", to: "ann@example.com", letter }
}

#[test]
fn a_letter_is_told_as_text_and_as_html_and_nothing_in_it_becomes_markup() {
    let (text, html) = (letter().text(), letter().html());
    assert!(text.contains("https://example.com/a?x=1&y=2\r\n") && text.contains("Code: tgi_0123"), "{text}");
    assert!(text.contains("invites you. Ignore"), "a line break cannot begin another paragraph: {text}");
    assert!(html.contains("&lt;b&gt;Ann &amp; Bob&lt;/b&gt;") && !html.contains("<b>"), "{html}");
    assert!(html.contains("href=\"https://example.com/a?x=1&amp;y=2\""), "{html}");
}

#[tokio::test]
async fn the_folder_holds_one_whole_file_a_letter_also_when_it_is_sent_twice() {
    let folder = tempfile::tempdir().unwrap();
    let mail = Mail::folder(folder.path().join("mail"), "Tollgate <no-reply@localhost>").unwrap();
    let letter = letter();
    mail.send(&post(&letter)).await.unwrap();
    mail.send(&post(&letter)).await.unwrap();
    let files: Vec<_> =
        std::fs::read_dir(folder.path().join("mail")).unwrap().map(|file| file.unwrap().path()).collect();
    assert_eq!(files.len(), 1, "{files:?}");
    let text = std::fs::read_to_string(&files[0]).unwrap();
    assert!(text.contains("To: ann@example.com") && text.contains("Message-ID: <mail_1@localhost>"), "{text}");
    assert!(text.contains("https://example.com/a?x=1&y=2"), "a link stands on one line: {text}");
}

#[test]
fn what_cannot_be_an_address_is_told_before_anything_is_sent() {
    for good in ["ann@example.com", "a.b+c@sub.example.org"] {
        assert!(is_address(good), "{good}");
    }
    for bad in ["", "ann", "ann@", "@example.com", "a b@example.com", "ann@example.com\r\nBcc: eve@example.com"] {
        assert!(!is_address(bad), "{bad}");
    }
    assert!(Mail::folder("x".into(), "nobody").is_err());
    let url = SecretString::from("mailto:me");
    assert!(Mail::smtp(&url, "a@example.com").is_err());
}

/// A server that speaks as much SMTP as a client needs, and answers the letter with `verdict`.
async fn server(verdict: &'static str) -> (String, Arc<Mutex<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("smtp://{}", listener.local_addr().unwrap());
    let heard = Arc::new(Mutex::new(String::new()));
    let book = Arc::clone(&heard);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let mut stream = BufReader::new(stream);
            stream.write_all(b"220 ready\r\n").await.unwrap();
            let (mut line, mut in_letter) = (String::new(), false);
            while stream.read_line(&mut line).await.unwrap_or(0) > 0 {
                book.lock().unwrap().push_str(&line);
                let answer = match line.trim_end() {
                    "." => Some(verdict),
                    _ if in_letter => None,
                    "DATA" => Some("354 go on"),
                    "QUIT" => Some("221 bye"),
                    _ => Some("250 ok"),
                };
                in_letter = (in_letter || answer == Some("354 go on")) && answer != Some(verdict);
                if let Some(answer) = answer {
                    stream.write_all(format!("{answer}\r\n").as_bytes()).await.unwrap();
                }
                line.clear();
            }
        }
    });
    (url, heard)
}

#[tokio::test]
async fn an_smtp_server_is_given_the_letter_and_its_answer_is_understood() {
    let letter = letter();
    let cases = [("250 taken", None), ("451 later", Some(true)), ("554 never", Some(false))];
    for (verdict, again) in cases {
        let (url, heard) = server(verdict).await;
        let mail = Mail::smtp(&SecretString::from(url), "billing@example.com").unwrap();
        let outcome = mail.send(&post(&letter)).await;
        let heard = heard.lock().unwrap().clone();
        assert!(heard.contains("RCPT TO:<ann@example.com>") && heard.contains("Code: tgi_0123"), "{heard}");
        match (again, outcome) {
            (None, Ok(())) | (Some(true), Err(Error::Unavailable(_))) | (Some(false), Err(Error::Refused(_))) => {}
            (_, outcome) => panic!("{verdict}: {outcome:?}"),
        }
    }
    let gone = Mail::smtp(&SecretString::from("smtp://127.0.0.1:9"), "billing@example.com").unwrap();
    assert!(matches!(gone.send(&post(&letter)).await, Err(Error::Unavailable(_))));
}
