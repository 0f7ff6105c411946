//! What a client may take in time and size, on raw sockets; and that others do not notice.

use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use flux_resourceset_store::MemoryStore;

use crate::client::{connect, raw, read_one, read_to_end};
use crate::server::{Server, WRITE};

fn limited(pairs: &[(&str, &str)]) -> Server {
    Server::over(Arc::new(MemoryStore::new()), pairs)
}

fn post(length: &str) -> String {
    format!(
        "POST /namespaces HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {WRITE}\r\n\
         Content-Type: application/json\r\n{length}\r\n\r\n"
    )
}

#[test]
fn slow_headers_are_closed_and_others_unaffected() {
    let server = limited(&[("HEADER_TIMEOUT", "700ms")]);
    let mut slow = connect(server.address);
    slow.write_all(b"GET /health HTTP/1.1\r\nHost: x\r\nX-").unwrap();
    let mut silent = connect(server.address);
    server.anyone().get("/health").expect(200);
    for stream in [&mut slow, &mut silent] {
        let mut rest = Vec::new();
        match stream.read_to_end(&mut rest) {
            Ok(_) => assert!(!rest.starts_with(b"HTTP/1.1 2"), "{}", String::from_utf8_lossy(&rest)),
            Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
        }
    }
}

#[test]
fn a_slow_body_gets_408() {
    let server = limited(&[("BODY_TIMEOUT", "200ms")]);
    let mut slow = connect(server.address);
    slow.write_all(post("Content-Length: 100").as_bytes()).unwrap();
    slow.write_all(b"{\"id\"").unwrap();
    server.anyone().get("/health").expect(200);
    let reply = read_to_end(&mut slow).expect(408);
    assert_eq!((reply.code().as_str(), reply.header("connection")), ("slow_body", Some("close")));
}

#[test]
fn oversized_headers_get_431() {
    let server = limited(&[("MAX_HEADER_BYTES", "8192")]);
    let head = format!("GET /health HTTP/1.1\r\nHost: x\r\nX-Large: {}\r\n\r\n", "x".repeat(9000));
    raw(server.address, head.as_bytes()).expect(431);
    let many: String = (0..200).map(|n| format!("X-{n}: x\r\n")).collect();
    raw(server.address, format!("GET /health HTTP/1.1\r\nHost: x\r\n{many}\r\n").as_bytes()).expect(431);
    server.anyone().get("/health").expect(200);
}

#[test]
fn a_body_over_the_limit_gets_413_announced_or_not() {
    let server = limited(&[("MAX_BODY_BYTES", "1000")]);
    let body = format!("{{\"id\": \"{}\"}}", "x".repeat(100_000));
    let announced = format!("{}{body}", post(&format!("Content-Length: {}", body.len())));
    let chunked = format!("{}{:x}\r\n{body}\r\n0\r\n\r\n", post("Transfer-Encoding: chunked"), body.len());
    for request in [announced, chunked] {
        let reply = raw(server.address, request.as_bytes()).expect(413);
        assert_eq!(reply.code(), "body_too_large");
    }
    let fits = format!("{{\"id\": \"n1\"{}}}", " ".repeat(988));
    assert_eq!(fits.len(), 1000);
    let fits = format!("{}{fits}", post("Connection: close\r\nContent-Length: 1000"));
    raw(server.address, fits.as_bytes()).expect(201);
}

#[test]
fn a_body_that_breaks_off_is_not_stored() {
    let server = limited(&[]);
    let mut broken = connect(server.address);
    broken.write_all(post("Content-Length: 100").as_bytes()).unwrap();
    broken.write_all(b"{\"id\": \"n1\"}").unwrap();
    broken.shutdown(std::net::Shutdown::Write).unwrap();
    let mut rest = Vec::new();
    let _ = broken.read_to_end(&mut rest);
    assert!(!rest.starts_with(b"HTTP/1.1 2"));
    assert_eq!(server.reader().get("/namespaces").expect(200).body, b"[]");
}

#[test]
fn who_takes_no_answers_holds_up_nobody_for_long() {
    let server = limited(&[("MAX_CONNECTIONS", "4"), ("WRITE_TIMEOUT", "300ms")]);
    let requests = "GET /openapi.yaml HTTP/1.1\r\nHost: x\r\n\r\n".repeat(400);
    let _unread: Vec<_> = (0..4)
        .map(|_| {
            let mut stream = connect_with_small_buffer(server.address);
            stream.write_all(requests.as_bytes()).unwrap();
            stream
        })
        .collect();
    server.anyone().get("/health").expect(200);
}

fn connect_with_small_buffer(address: SocketAddr) -> std::net::TcpStream {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
    let stream = runtime.block_on(async {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        socket.connect(address).await.unwrap().into_std().unwrap()
    });
    stream.set_nonblocking(false).unwrap();
    stream
}

#[test]
fn connections_are_bounded_and_kept_alive() {
    let server = limited(&[("MAX_CONNECTIONS", "2")]);
    let get = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n";
    let mut first = connect(server.address);
    let mut second = connect(server.address);
    for stream in [&mut first, &mut second, &mut *connect_again(&server, get)] {
        // The third is not answered while two are open.
        if stream.read_timeout().unwrap() == Some(Duration::from_millis(300)) {
            let waiting = stream.read(&mut [0]).unwrap_err();
            assert!(matches!(waiting.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{waiting}");
            continue;
        }
        for _ in 0..2 {
            stream.write_all(get).unwrap();
            read_one(stream).expect(200);
        }
    }
    drop(first);
    let mut fourth = connect(server.address);
    fourth.write_all(get).unwrap();
    read_one(&mut fourth).expect(200);
}

fn connect_again(server: &Server, get: &[u8]) -> Box<std::net::TcpStream> {
    let mut third = connect(server.address);
    third.write_all(get).unwrap();
    third.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    Box::new(third)
}

#[test]
fn draining_answers_what_is_under_way_and_closes_what_is_idle() {
    let mut server = limited(&[("DRAIN_TIMEOUT", "20s")]);
    let mut idle = connect(server.address);
    idle.write_all(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    read_one(&mut idle).expect(200);
    let mut busy = connect(server.address);
    // The answer to Expect says that the handler waits for the body.
    busy.write_all(post("Expect: 100-continue\r\nContent-Length: 12").as_bytes()).unwrap();
    let mut interim = [0; 25];
    busy.read_exact(&mut interim).unwrap();
    assert!(interim.starts_with(b"HTTP/1.1 100"));
    let ending = server.stop();
    let mut rest = Vec::new();
    idle.read_to_end(&mut rest).unwrap();
    assert!(rest.is_empty());
    busy.write_all(b"{\"id\": \"n1\"}").unwrap();
    read_to_end(&mut busy).expect(201);
    ending.join().unwrap().unwrap();
}

#[test]
fn draining_ends_at_its_deadline() {
    let mut server = limited(&[("DRAIN_TIMEOUT", "100ms")]);
    let mut busy = connect(server.address);
    busy.write_all(post("Expect: 100-continue\r\nContent-Length: 12").as_bytes()).unwrap();
    busy.read_exact(&mut [0; 25]).unwrap();
    server.stop().join().unwrap().unwrap();
    let mut rest = Vec::new();
    let _ = busy.read_to_end(&mut rest);
    assert!(rest.is_empty());
}
