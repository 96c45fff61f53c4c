//! Texts in the DNS, asked of a name server over the wire.

use tollgate_connectors::dns::{Error, Resolver};
use tollgate_sandbox::dns::NameServer;

#[tokio::test]
async fn texts_are_found_by_datagram_and_long_ones_by_stream() {
    let server = NameServer::start().await.unwrap();
    let long = "a long text ".repeat(80);
    server.set("short.example", &["one", "two"]);
    server.set("long.example", &[&long, "short"]);
    let resolver = Resolver::At(server.address());
    assert_eq!(resolver.texts("Short.Example.", 1).await.unwrap(), ["one", "two"]);
    assert_eq!(resolver.texts("long.example", 2).await.unwrap(), [long.as_str(), "short"]);
    assert_eq!(resolver.texts("nothing.example", 3).await.unwrap(), Vec::<String>::new());
    assert_eq!(resolver.texts("a..example", 4).await, Err(Error::Name));
}

#[tokio::test]
async fn a_server_that_is_not_there_is_no_answer() {
    let gone = {
        let server = NameServer::start().await.unwrap();
        server.address()
    };
    assert_eq!(Resolver::At(gone).texts("short.example", 1).await, Err(Error::NoAnswer));
}
