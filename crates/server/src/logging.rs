//! Where log lines go and how they look: standard error, as RUST_LOG and LOG_FORMAT say.

use std::fmt::{self, Debug};
use std::io::IsTerminal;

use jiff::Timestamp;
use jiff::fmt::StdFmtWrite;
use jiff::fmt::temporal::DateTimePrinter;
use tracing::field::{Field, Visit};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::field::{RecordFields, VisitOutput};
use tracing_subscriber::fmt::FormatFields;
use tracing_subscriber::fmt::format::{DefaultVisitor, Writer};
use tracing_subscriber::fmt::time::FormatTime;

use crate::config::{Config, ConfigError, LogFormat};
use crate::lines::{self, Lines};

/// Sets up logging for the whole process.
pub fn start(config: &Config) -> Result<(), ConfigError> {
    let filter = EnvFilter::try_new(&config.log_filter)
        .map_err(|error| ConfigError(format!("RUST_LOG is no filter such as info or debug: {error}")))?;
    let lines =
        tracing_subscriber::fmt().with_env_filter(filter).with_timer(Microseconds).with_writer(|| Lines);
    let started = match config.log_format {
        LogFormat::Text if std::io::stderr().is_terminal() => lines.try_init(),
        LogFormat::Text => lines.with_ansi(false).fmt_fields(PlainFields).try_init(),
        LogFormat::Json => lines.json().flatten_event(true).with_current_span(false).try_init(),
    };
    // A second start in one process keeps the first one's lines.
    drop(started);
    Ok(())
}

/// Writes what was logged and waits to be written together; before the process ends.
pub fn finish() {
    lines::flush();
}

/// Times as they look by default; written in a third of the time.
struct Microseconds;

impl FormatTime for Microseconds {
    fn format_time(&self, writer: &mut Writer<'_>) -> fmt::Result {
        const PRINTER: DateTimePrinter = DateTimePrinter::new().precision(Some(6));
        PRINTER.print_timestamp(&Timestamp::now(), StdFmtWrite(writer)).map_err(|_| fmt::Error)
    }
}

/// Fields as they look by default, in less time where they are plain: each poll logs a handful.
struct PlainFields;

impl<'w> FormatFields<'w> for PlainFields {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'w>, fields: R) -> fmt::Result {
        let mut visitor = PlainVisitor { writer, is_empty: true, result: Ok(()) };
        fields.record(&mut visitor);
        visitor.result
    }
}

struct PlainVisitor<'w> {
    writer: Writer<'w>,
    is_empty: bool,
    result: fmt::Result,
}

impl PlainVisitor<'_> {
    fn name(&mut self, field: &Field) -> fmt::Result {
        if !self.is_empty {
            self.writer.write_char(' ')?;
        }
        self.is_empty = false;
        let name = field.name();
        self.writer.write_str(name.strip_prefix("r#").unwrap_or(name))?;
        self.writer.write_char('=')
    }

    fn text(&mut self, field: &Field, value: &str) -> fmt::Result {
        self.name(field)?;
        self.writer.write_char('"')?;
        self.writer.write_str(value)?;
        self.writer.write_char('"')
    }
}

impl Visit for PlainVisitor<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let mut default = DefaultVisitor::new(self.writer.by_ref(), self.is_empty);
        default.record_debug(field, value);
        self.result = self.result.and(default.finish());
        // Those that only say where the line of another crate comes from are left out.
        self.is_empty &= field.name().starts_with("log.");
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        let written = self.name(field).and_then(|()| write!(self.writer, "{value}"));
        self.result = self.result.and(written);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        let is_plain = value.bytes().all(|byte| matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\');
        match field.name() {
            "message" => self.record_debug(field, &format_args!("{value}")),
            name if !is_plain || name.starts_with("log.") => self.record_debug(field, &value),
            _ => self.result = self.result.and(self.text(field, value)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::fmt::SubscriberBuilder;
    use tracing_subscriber::fmt::time::SystemTime;

    use super::*;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn times_look_as_by_default() {
        let text = |time: &dyn FormatTime| {
            let mut text = String::new();
            time.format_time(&mut Writer::new(&mut text)).unwrap();
            text
        };
        let shape = |text: String| text.replace(|letter: char| letter.is_ascii_digit(), "0");
        assert_eq!(shape(text(&Microseconds)), shape(text(&SystemTime)));
    }

    #[test]
    fn plain_fields_look_as_by_default() {
        let lines = || SubscriberBuilder::default().with_ansi(false).without_time();
        let written = [(); 2].map(|()| Written::default());
        let [plain, default] = written.clone();
        let log = || {
            for text in ["c1.example.com", "", "a \"b\"\n\\ \u{1b}[31m ü", "it's"] {
                tracing::info!(text, r#type = text, some = Some(text), none = None::<u8>, n = 7_u64, "poll");
                tracing::info!(debug = ?text, display = %text, b = true, "{text}");
                tracing::info!(message = text, text);
                tracing::info!(text);
            }
        };
        let writer = move || plain.clone();
        tracing::subscriber::with_default(lines().fmt_fields(PlainFields).with_writer(writer).finish(), log);
        let writer = move || default.clone();
        tracing::subscriber::with_default(lines().with_writer(writer).finish(), log);
        let [plain, default] = written.map(|one| String::from_utf8(one.0.lock().unwrap().clone()).unwrap());
        assert_eq!(plain, default);
        assert!(plain.contains("poll text=\"c1.example.com\" type=\"c1.example.com\" some="), "{plain}");
    }
}
