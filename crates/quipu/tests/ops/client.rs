//! `quipu status` and `quipu import`, which ask a running server.

use std::fs;

use crate::support::Http;
use crate::{Place, append, quipu, stderr, stdout};

#[test]
fn the_status_of_a_running_server() {
    let place = Place::new();
    let mut server = place.serve();
    append(&server, 0..3);
    let output = quipu(&["status", "--url", &server.url]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let said = stdout(&output);
    assert!(
        said.starts_with("ready\n") && said.contains("records: 3\n") && said.contains("quipu_log_rounds"),
        "{said}"
    );
    let output = quipu(&["status", "--json", "--url", &server.url]);
    let status: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (&status["ready"], &status["size"], &status["checks"]["log"]),
        (&true.into(), &3.into(), &"ok".into())
    );
    server.kill();
    let output = quipu(&["status", "--url", &server.url]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("is the server running"), "{}", stderr(&output));
}

#[test]
fn go_sum_files_are_imported_and_compared() {
    let place = Place::new();
    let server = place.serve();
    let mut sums = String::new();
    for n in 0..40 {
        let (_, body) = Http::new(&server.url).get(&format!("/lookup/ops.test/m{n}@v1.0.0")).unwrap();
        let text = String::from_utf8(body).unwrap();
        text.lines().skip(1).take(2).for_each(|line| sums.push_str(&format!("{line}\n")));
    }
    let file = place.path("go.sum");
    fs::write(&file, &sums).unwrap();
    let file = file.to_str().unwrap();
    // A server that has none of them takes them in.
    let other = place.try_serve("other").unwrap();
    let output = quipu(&["import", file, "--url", &other.url]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(stdout(&output), "40 module versions: 0 differ, 0 not looked up\n");
    let status = stdout(&quipu(&["status", "--url", &other.url]));
    assert!(status.contains("records: 40\n"), "{status}");

    let (line, _) = sums.split_once('\n').unwrap();
    let wrong =
        line.rsplit_once(' ').unwrap().0.to_owned() + " h1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    fs::write(file, sums.replace(line, &wrong)).unwrap();
    let output = quipu(&["import", file, "--url", &other.url]);
    assert_eq!(output.status.code(), Some(4), "{}", stderr(&output));
    assert!(stderr(&output).contains("go.sum:1 has h1:AAAA"), "{}", stderr(&output));

    fs::write(file, "ops.test/m1 v1.0.0 h1:short\n").unwrap();
    let output = quipu(&["import", file, "--url", &other.url]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("go.sum:1"), "{}", stderr(&output));
}
