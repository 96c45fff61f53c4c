//! Requests rendered once, with places for ids that are filled anew before each sending.

use std::hash::{BuildHasher, Hasher};

/// A rendered HTTP request.
#[derive(Clone, Debug)]
pub(super) struct Request {
    bytes: Vec<u8>,
    /// Where each id begins.
    slots: Vec<usize>,
    ids: Ids,
}

/// What stands in a body where an id is to be put.
pub(super) const ID: &str = "00000000000000000000000000000000";

impl Request {
    /// A POST with a JSON body; every [`ID`] in the body becomes a new id at each sending.
    #[must_use]
    pub(super) fn post(path: &str, key: Option<&str>, body: &str) -> Self {
        let credential = key.map(|key| format!("Authorization: Bearer {key}\r\n")).unwrap_or_default();
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{credential}Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        let slots = body.match_indices(ID).map(|(at, _)| head.len() + at).collect();
        Self { bytes: (head + body).into_bytes(), slots, ids: Ids::seeded() }
    }

    /// The same request with ids of its own.
    #[must_use]
    pub(super) fn fork(&self) -> Self {
        Self { ids: Ids::seeded(), ..self.clone() }
    }

    /// Fills in new ids and gives the bytes to send.
    pub(super) fn next(&mut self) -> &[u8] {
        for slot in &self.slots {
            self.ids.write(&mut self.bytes[*slot..*slot + ID.len()]);
        }
        &self.bytes
    }
}

/// A stream of ids in random order (the hard case for an index), as 32 hexadecimal digits.
#[derive(Clone, Debug)]
pub(super) struct Ids {
    state: u64,
}

impl Ids {
    /// A stream that no other stream of this or another run repeats.
    #[must_use]
    pub(super) fn seeded() -> Self {
        // The standard library's hasher is keyed by the operating system's randomness.
        Self { state: std::hash::RandomState::new().build_hasher().finish() }
    }

    fn write(&mut self, place: &mut [u8]) {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        for half in place.chunks_mut(16) {
            let mut number = self.next();
            for digit in half {
                let low = usize::try_from(number & 15).expect("four bits fit");
                *digit = DIGITS[low];
                number >>= 4;
            }
        }
    }

    /// The next id as text.
    pub(super) fn text(&mut self) -> String {
        let mut bytes = [b'0'; 32];
        self.write(&mut bytes);
        bytes.iter().map(|byte| char::from(*byte)).collect()
    }

    /// SplitMix64 (Steele, Lea, Flood 2014): fast, and enough for ids that only have to differ.
    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.state ^ (self.state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::{ID, Request};

    #[test]
    fn every_sending_carries_new_ids_and_the_same_length() {
        let body = format!("{{\"items\":[\"{ID}\",\"{ID}\"]}}");
        let mut request = Request::post("/v1/usage", Some("key"), &body);
        let first = String::from_utf8(request.next().to_vec()).expect("requests are text");
        let second = String::from_utf8(request.next().to_vec()).expect("requests are text");
        assert_ne!(first, second);
        assert_eq!(first.len(), second.len());
        assert!(!first.contains(ID));
        assert!(first.contains("Authorization: Bearer key\r\n"));
    }
}
