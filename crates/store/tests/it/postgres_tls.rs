//! What is PostgreSQL's own: encrypted connections, whose server is always verified, and passwords that nobody
//! sees.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use flux_resourceset_postgres_server::{Programs, Server};
use flux_resourceset_store::{Access, Error, ErrorKind, PostgresStore, PostgresUrl};
use tempfile::TempDir;

use crate::backend::{cluster, write};

const CREATE: Access = Access::ReadWrite { create: true };

/// An authority, and a certificate of it for `localhost`.
#[allow(clippy::print_stderr, reason = "that a test was skipped is said where tests are read")]
fn certificates(folder: &Path) -> Option<()> {
    if Command::new("openssl").arg("version").stdout(Stdio::null()).status().is_err() {
        assert!(std::env::var_os("REQUIRE_TOOLS").is_none(), "openssl is not there");
        eprintln!("SKIPPED: openssl is not there; `apt-get install openssl` brings it");
        return None;
    }
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2";
    for arguments in [
        format!("req -x509 {key} -keyout ca.key -out ca.pem -subj /CN=authority"),
        format!("req -x509 {key} -keyout other.key -out other.pem -subj /CN=another"),
        format!(
            "req -x509 {key} -CA ca.pem -CAkey ca.key -keyout server.key -out server.pem -subj /CN=server \
             -addext subjectAltName=DNS:localhost -addext basicConstraints=CA:FALSE"
        ),
    ] {
        let mut openssl = Command::new("openssl");
        let output = openssl.args(arguments.split_whitespace()).current_dir(folder).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    Some(())
}

async fn refusal(url: &str, ca_file: &Path) -> Error {
    let url = PostgresUrl::parse(url).unwrap().trusting(ca_file);
    PostgresStore::open(&url, CREATE).await.map(drop).unwrap_err()
}

/// The error and everything behind it, as a log has them.
fn all_of(error: &Error) -> String {
    let mut text = format!("{error} {error:?}");
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    text
}

#[tokio::test]
async fn a_server_is_verified_whenever_tls_is_used() {
    let Some(programs) = Programs::or_skip() else { return };
    let folder = TempDir::new().unwrap();
    let Some(()) = certificates(folder.path()) else { return };
    let server = Server::start(&programs, &["fsync=off"]).unwrap();
    for file in ["server.pem", "server.key"] {
        server.take(&folder.path().join(file)).unwrap();
    }
    server.run_sql("postgres", "ALTER SYSTEM SET ssl_cert_file = '../server.pem'").unwrap();
    server.run_sql("postgres", "ALTER SYSTEM SET ssl_key_file = '../server.key'").unwrap();
    server.run_sql("postgres", "ALTER SYSTEM SET ssl = on").unwrap();
    server.run_sql("postgres", "SELECT pg_reload_conf()").unwrap();
    server.new_database().unwrap();
    let ca = folder.path().join("ca.pem");
    let url = |mode: &str| {
        let with_password = server.url_with_password("d0").replace("127.0.0.1", "localhost");
        format!("{with_password}?sslmode={mode}")
    };
    let trusted = |mode: &str| PostgresUrl::parse(&url(mode)).unwrap().trusting(&ca);
    // The server takes its certificate some time after it was told to.
    while PostgresStore::open(&trusted("require"), CREATE).await.is_err() {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let store = PostgresStore::open(&trusted("verify-full"), CREATE).await.unwrap();
    write(&store, vec![cluster("a", "1")]).await;
    let encrypted =
        "SELECT bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE datname = 'd0'";
    assert_eq!(server.run_sql("postgres", encrypted).unwrap(), "t");
    // Verified by the machine's own authorities, who do not know it.
    let unknown = PostgresUrl::parse(&url("require")).unwrap();
    let error = PostgresStore::open(&unknown, CREATE).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unavailable);
    assert!(error.message.contains("DATABASE_CA_FILE"), "{error}");

    let wrong_name = url("require").replace("localhost", "127.0.0.1");
    fs::write(folder.path().join("empty.pem"), "").unwrap();
    for (url, file, sentence) in [
        (url("require"), "other.pem", "name a file that holds it in DATABASE_CA_FILE"),
        (wrong_name, "ca.pem", "its address, and its certificate"),
        (url("require"), "none.pem", "DATABASE_CA_FILE"),
        (url("require"), "empty.pem", "DATABASE_CA_FILE"),
        (url("require").replace(server.password(), "hunter2"), "ca.pem", "password"),
    ] {
        let error = refusal(&url, &folder.path().join(file)).await;
        assert_eq!(error.kind, ErrorKind::Unavailable, "{error}");
        assert!(error.message.contains(sentence), "{error}");
        let text = all_of(&error);
        assert!(!text.contains(server.password()) && !text.contains("hunter2"), "{text}");
    }

    // A server that takes nobody without, as some providers' do.
    let rules = server.run_sql("postgres", "SHOW hba_file").unwrap();
    let lines = "'local all all trust', 'hostssl all all all scram-sha-256'";
    let write = format!("COPY (SELECT unnest(ARRAY[{lines}])) TO '{}'", rules.trim_end());
    server.run_sql("postgres", &write).unwrap();
    server.run_sql("postgres", "SELECT pg_reload_conf()").unwrap();
    let plain = PostgresUrl::parse(&server.url_with_password("d0")).unwrap();
    let error = loop {
        match PostgresStore::open(&plain, CREATE).await {
            Ok(_) => tokio::time::sleep(std::time::Duration::from_millis(20)).await,
            Err(error) => break error,
        }
    };
    assert!(error.message.contains("add sslmode=require to DATABASE_URL"), "{}", all_of(&error));
}
