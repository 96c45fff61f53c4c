//! Which addresses are public, on the vectors of the contract.

use std::net::IpAddr;

use serde_json::Value;
use tollgate_connectors::reach::{is_public, public_url};

use crate::data::contract;

fn texts(value: &Value) -> Vec<&str> {
    value.as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect()
}

#[test]
fn every_address_of_the_contract_is_sorted_as_it_says() {
    let Some(data) = contract("standard-webhooks/ssrf-vectors.json") else { return };
    let mut seen = 0;
    for (class, addresses) in data["ip_blocked"].as_object().unwrap() {
        for address in texts(addresses) {
            let parsed: IpAddr = address.parse().unwrap();
            assert!(!is_public(parsed), "{class}: {address}");
            seen += 1;
        }
    }
    for address in texts(&data["ip_allowed"]) {
        assert!(is_public(address.parse().unwrap()), "{address}");
        seen += 1;
    }
    assert!(seen >= 50, "only {seen} addresses");
    for url in texts(&data["urls"]["reject"]) {
        assert!(public_url(url).is_err(), "{url}");
    }
    for url in texts(&data["urls"]["accept"]) {
        assert!(public_url(url).is_ok(), "{url}");
    }
}
