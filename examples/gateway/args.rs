//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

pub(crate) const USAGE: &str = "\
usage: gateway [--config FILE] [--listen ADDRESS]

  --config FILE      use the providers of this file instead of three built-in ones (see examples/gateway/gateway.toml)
  --listen ADDRESS   listen here, for instance 127.0.0.1:9000 (default 127.0.0.1:8080); port 0 takes a free one
  --help             print this
";

#[derive(Debug, Default, PartialEq)]
pub(crate) struct Args {
    pub(crate) config: Option<PathBuf>,
    pub(crate) listen: Option<SocketAddr>,
    pub(crate) help: bool,
}

/// Reads the arguments; the error is one line that says which argument, what it was and what is allowed.
pub(crate) fn parse(arguments: impl IntoIterator<Item = String>) -> Result<Args, String> {
    let mut args = Args::default();
    let mut rest = arguments.into_iter();
    while let Some(argument) = rest.next() {
        let (name, attached) = match argument.split_once('=') {
            Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
            None => (argument, None),
        };
        let mut value = |what| {
            attached
                .clone()
                .or_else(|| rest.next())
                .ok_or(format!("{name} needs {what}"))
        };
        match name.as_str() {
            "--config" => args.config = Some(value("the path of a file")?.into()),
            "--listen" => args.listen = Some(listen("--listen", &value("an address such as 127.0.0.1:8080")?)?),
            "--help" | "-h" => args.help = true,
            other => {
                return Err(format!(
                    "{other:?} is no argument; allowed are --config, --listen and --help"
                ));
            }
        }
    }
    Ok(args)
}

fn listen(name: &str, value: &str) -> Result<SocketAddr, String> {
    value
        .parse()
        .map_err(|_| format!("{name} = {value:?} is no address; write it as 127.0.0.1:8080 or [::1]:8080"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(arguments: &[&str]) -> Result<Args, String> {
        parse(arguments.iter().map(ToString::to_string))
    }

    #[test]
    fn a_value_may_follow_or_be_attached() {
        let both = parsed(&["--listen=127.0.0.1:0", "--config", "a.toml"]).unwrap();
        assert_eq!(both.listen, Some("127.0.0.1:0".parse().unwrap()));
        assert_eq!(both.config, Some("a.toml".into()));
    }

    #[test]
    fn what_is_wrong_is_named_with_what_is_allowed() {
        assert_eq!(parsed(&["--config"]).unwrap_err(), "--config needs the path of a file");
        assert!(
            parsed(&["--listen", "here"])
                .unwrap_err()
                .contains("\"here\" is no address; write it as")
        );
        assert!(
            parsed(&["--port"])
                .unwrap_err()
                .contains("\"--port\" is no argument; allowed are")
        );
    }
}
