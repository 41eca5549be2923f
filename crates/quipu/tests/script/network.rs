//! A network of a story's own, in which names lead where the story says: there a stranger's host can be on the public
//! internet, as the server judges it, and nothing can leave (namespaces of Linux, unshare(1)).

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::Command;

/// Set for the telling of a story inside.
const INSIDE: &str = "QUIPU_STORY_NETWORK";

/// How a story goes on.
pub(crate) enum Entered {
    /// It is in its network.
    Inside,
    /// It was told in its network, to a good end.
    Told,
    /// There is none to be had here, and why.
    Impossible(String),
}

/// The hosts file, then a file to be made once all is set up, the addresses in one word, and what to run.
const SET_UP: &str = "\
hosts=$1 ready=$2 addresses=$3
shift 3
ip link set lo up
for address in $addresses; do ip address add \"$address/32\" dev lo; done
mount --bind \"$hosts\" /etc/hosts
: >\"$ready\"
exec \"$@\"";

/// Has the test `name` run again in a network of its own, with no way out, where all `NAME=IPv4` of `hosts` are this
/// machine. `file` is where the hosts file may lie.
pub(crate) fn enter(name: &str, file: &Path, hosts: &[&str]) -> Result<Entered, String> {
    if std::env::var_os(INSIDE).is_some() {
        return Ok(Entered::Inside);
    }
    let pairs: Option<Vec<_>> = hosts.iter().map(|host| host.split_once('=')).collect();
    let pairs = pairs.ok_or("not NAME=ADDRESS")?;
    let lines: String = pairs.iter().map(|(name, address)| format!("{address} {name}\n")).collect();
    fs::write(file, format!("127.0.0.1 localhost\n{lines}")).map_err(|e| e.to_string())?;
    let addresses: Vec<_> = pairs.iter().map(|(_, address)| *address).collect();
    let ready = file.with_extension("ready");
    let mut command = Command::new("unshare");
    // Who is not root here can be that there.
    if fs::metadata("/proc/self").map_err(|e| e.to_string())?.uid() != 0 {
        command.arg("--map-root-user");
    }
    command.args(["--net", "--mount", "sh", "-euc", SET_UP, "sh"]);
    command.arg(file).arg(&ready).arg(addresses.join(" "));
    command.arg(std::env::current_exe().map_err(|e| e.to_string())?);
    command.args(["--exact", name, "--nocapture"]).env(INSIDE, "1");
    let output = match command.output() {
        Ok(output) => output,
        Err(error) => return Ok(Entered::Impossible(format!("unshare: {error}"))),
    };
    let said =
        [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    if !ready.exists() {
        return Ok(Entered::Impossible(said.trim().to_owned()));
    }
    if output.status.success() && said.contains("1 passed") {
        return Ok(Entered::Told);
    }
    Err(format!("in a network of its own:\n{said}"))
}
