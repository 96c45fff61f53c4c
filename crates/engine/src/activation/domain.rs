//! The one spelling of a site's domain: lower case, IDNA, no port, no dot at the end; `www.` is part of the name.

use url::{Host, Url};

use super::Error;

/// The domain of a site as someone wrote it: a host name, or any address on the site.
///
/// # Errors
/// [`Error::BadDomain`] for IP addresses, names without a dot (but `localhost`), credentials in an address, and what is no name.
pub fn site_domain(text: &str) -> Result<String, Error> {
    let text = text.trim();
    if text.is_empty() || text.len() > 2048 || text.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Err(Error::BadDomain);
    }
    let address = if text.contains("://") { text.to_owned() } else { format!("https://{text}") };
    let url = Url::parse(&address).map_err(|_| Error::BadDomain)?;
    let plain = matches!(url.scheme(), "https" | "http") && url.username().is_empty() && url.password().is_none();
    let Some(Host::Domain(name)) = url.host() else { return Err(Error::BadDomain) };
    let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    let named = name.len() <= 253 && name.split('.').all(label) && (name.contains('.') || name == "localhost");
    if plain && named { Ok(name) } else { Err(Error::BadDomain) }
}

#[cfg(test)]
mod tests {
    use super::site_domain;

    #[test]
    fn one_domain_has_one_spelling() {
        for same in
            ["shop.example", "Shop.EXAMPLE", "shop.example.", "shop.example:8443", "https://shop.example/wp-admin?x=1"]
        {
            assert_eq!(site_domain(same).unwrap(), "shop.example", "{same}");
        }
        assert_eq!(site_domain("bücher.example").unwrap(), "xn--bcher-kva.example");
        assert_eq!(site_domain("www.shop.example").unwrap(), "www.shop.example", "www is another site");
        assert_eq!(site_domain("http://localhost:8080").unwrap(), "localhost");
    }

    #[test]
    fn what_is_no_domain_is_refused() {
        let long = format!("{}.example", "a".repeat(64));
        let bad = [
            "",
            " ",
            "shop",
            "127.0.0.1",
            "2130706433",
            "[::1]",
            "a b.example",
            "user:pw@shop.example",
            "ftp://shop.example",
        ];
        for bad in bad.into_iter().chain(["-a.example", "a_.example", "..", "https://", long.as_str()]) {
            assert!(site_domain(bad).is_err(), "{bad}");
        }
    }
}
