//! One JSON object per line: time, level, message, and every field of the event and of the spans around it at the top,
//! so that `orgId`, `request_id` and `corr_id` are found under the same name whoever set them.

use std::fmt;
use std::io::Write as _;

use serde_json::{Map, Value};
use tollgate_engine::clock::WallClock;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

/// The layer that writes the lines.
pub(super) struct Lines {
    environment: String,
    clock: WallClock,
}

/// The fields of a span, kept with it.
struct Fields(Map<String, Value>);

impl Lines {
    /// Every line carries the environment's tag.
    pub(super) fn new(environment: String) -> Self {
        Self { environment, clock: WallClock::system() }
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Lines {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut fields = Collector::default();
        attributes.record(&mut fields);
        if let Some(span) = context.span(id) {
            span.extensions_mut().insert(Fields(fields.0));
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let mut fields = Collector::default();
        values.record(&mut fields);
        if let Some(span) = context.span(id)
            && let Some(known) = span.extensions_mut().get_mut::<Fields>()
        {
            known.0.extend(fields.0);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut line = Map::new();
        let metadata = event.metadata();
        line.insert("ts".into(), self.clock.now().to_string().into());
        line.insert("level".into(), metadata.level().as_str().to_ascii_lowercase().into());
        line.insert("env".into(), self.environment.clone().into());
        line.insert("target".into(), metadata.target().into());
        for span in context.event_scope(event).into_iter().flat_map(tracing_subscriber::registry::Scope::from_root) {
            if let Some(fields) = span.extensions().get::<Fields>() {
                line.extend(fields.0.clone());
            }
        }
        let mut fields = Collector::default();
        event.record(&mut fields);
        line.extend(fields.0);
        let mut text = Value::Object(line).to_string();
        text.push('\n');
        // A log that cannot be written must not stop the server; there is nowhere left to say so.
        let _ = std::io::stderr().lock().write_all(text.as_bytes());
    }
}

#[derive(Default)]
struct Collector(Map<String, Value>);

impl Collector {
    fn set(&mut self, field: &Field, value: Value) {
        // `r#type = …` reaches us with its prefix.
        let name = field.name().trim_start_matches("r#");
        self.0.insert(name.to_owned(), value);
    }
}

impl Visit for Collector {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.set(field, format!("{value:?}").into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.set(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.set(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.set(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.set(field, value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.set(field, value.into());
    }
}
