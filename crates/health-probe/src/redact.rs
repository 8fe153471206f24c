//! Addresses without secrets, for names, errors and logs.

/// `url` without user, password, query and fragment.
pub(crate) fn redact(url: &str) -> String {
    let url = url.split(['?', '#']).next().unwrap_or_default();
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let end = rest.find('/').unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let slashes = if scheme.is_empty() { "" } else { "://" };
    crate::check_error::tidy(&format!("{scheme}{slashes}{host}{path}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_of_an_address_are_left_out() {
        for (url, shown) in [
            ("http://10.0.0.7/healthz", "http://10.0.0.7/healthz"),
            ("https://me:pw@host:8443/a/b?key=1#x", "https://host:8443/a/b"),
            ("http://me:p@w@host?key=1", "http://host"),
            ("http://host/a@b", "http://host/a@b"),
            ("no url", "no url"),
            ("", ""),
        ] {
            assert_eq!(redact(url), shown);
        }
    }
}
