//! Addresses that customers are sent back to.

use url::Url;

use super::Error;

/// The longest address.
const BYTES_MAX: usize = 2_000;

/// An absolute address a browser can be sent to: `http` or `https`, with a host, without credentials.
///
/// # Errors
/// [`Error::BadUrl`] with the name of the field.
pub(crate) fn check_return_url(field: &'static str, address: &str) -> Result<(), Error> {
    let parsed = Url::parse(address).ok().filter(|_| address.len() <= BYTES_MAX);
    let fits = parsed.is_some_and(|url| {
        matches!(url.scheme(), "http" | "https")
            && url.has_host()
            && url.username().is_empty()
            && url.password().is_none()
    });
    let written = !address.chars().any(|c| c.is_whitespace() || c.is_control());
    if fits && written { Ok(()) } else { Err(Error::BadUrl(field)) }
}

#[cfg(test)]
mod tests {
    use super::check_return_url;

    #[test]
    fn only_absolute_addresses_of_the_web_are_returned_to() {
        for good in ["https://app.test/done?s={CHECKOUT_SESSION_ID}", "http://localhost:3000", "https://[::1]/x#y"] {
            assert!(check_return_url("successUrl", good).is_ok(), "{good}");
        }
        let long = format!("https://app.test/{}", "x".repeat(2_000));
        for bad in [
            "",
            "/done",
            "app.test",
            "javascript:alert(1)",
            "ftp://a.test",
            "https://",
            "https://a b.test",
            "https://u:p@a.test",
            &long,
        ] {
            assert!(check_return_url("successUrl", bad).is_err(), "{bad}");
        }
    }
}
