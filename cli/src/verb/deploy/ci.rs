//! Pipelines that test a filter, push it and write what the cluster is told.

use crate::args::{CiArg, DeployArgs, ManifestArgs, Policy, RemoteArgs, StepArg};
use crate::failure::{Code, Failure, Result};
use clap::ValueEnum;
use std::path::Path;
use tamis_oci::Reference;

/// What is filled in stands in capital letters between these.
const GITHUB: &str = include_str!("github.yml");
const GITLAB: &str = include_str!("gitlab.yml");

/// The text of the pipeline.
///
/// # Errors
/// When something of the command line cannot be put into it.
pub(super) fn pipeline(system: CiArg, args: &DeployArgs) -> Result<String> {
    let reference: Reference = args.manifest.reference.parse()?;
    let no = |text: &str, hint: &str| Err(Failure::new(Code::Usage, text.to_owned()).hint(hint));
    if reference.digest.is_some() || reference.tag.is_some() {
        return no(
            "a pipeline makes the tag itself: it is that of git, or the commit",
            "name the repository alone, `registry.example/team/filter`",
        );
    }
    if args.manifest.layout.is_some() || args.manifest.remote.username.is_some() {
        return no(
            "a pipeline pushes to a registry, with the login of its own settings",
            "leave `--layout` and `--username` away",
        );
    }
    let (push, deploy) = (push(args), deploy(args));
    if [&push, &deploy].into_iter().flatten().any(|l| l.contains(char::is_control) || l.contains("${{")) {
        return no(
            "an argument has line breaks, or `${{`, which a pipeline would read otherwise",
            "put the configuration into a file",
        );
    }
    let registry = reference.registry.as_str();
    let (template, indent) = match system {
        CiArg::Github => (GITHUB, 10),
        CiArg::Gitlab => (GITLAB, 6),
    };
    let lines =
        |lines: &[String]| lines.iter().map(|l| format!("{:indent$}{l}", "")).collect::<Vec<_>>().join("\n");
    let login = match (system, registry) {
        (CiArg::Github, "ghcr.io") => ["${{ github.actor }}", "${{ secrets.GITHUB_TOKEN }}"],
        (CiArg::Github, _) => ["${{ vars.REGISTRY_USERNAME }}", "${{ secrets.REGISTRY_PASSWORD }}"],
        (CiArg::Gitlab, _) => ["$REGISTRY_USERNAME", "$REGISTRY_PASSWORD"],
    };
    let packages = if registry == "ghcr.io" { "\n  packages: write" } else { "" };
    Ok(template
        .replace("<PACKAGES>", packages)
        .replace("<USERNAME>", login[0])
        .replace("<PASSWORD>", login[1])
        .replace("<REPOSITORY>", &reference.place())
        .replace("<PUSH>", &lines(&push))
        .replace("<DEPLOY>", &lines(&deploy)))
}

fn push(args: &DeployArgs) -> Vec<String> {
    let mut words = vec!["tamis push \"$REPOSITORY:$TAG\"".to_owned()];
    remote(&args.manifest.remote, &mut words);
    vec![format!("{} > pushed.txt", words.join(" ")), "cat pushed.txt".to_owned()]
}

fn deploy(args: &DeployArgs) -> Vec<String> {
    // What was pushed, whatever the tag stands for by now.
    let image = "image=\"$(sed -n 's/^image *//p' pushed.txt | head -n 1)\"".to_owned();
    let words = words(&args.manifest).join(" ");
    let words = if words.is_empty() { words } else { format!(" {words}") };
    let mut shadow = String::new();
    if let Some(settings) = &args.shadow {
        shadow = format!(" --shadow {}", quoted(settings));
    }
    if let Some(folder) = &args.kustomize {
        let only = args.step.map_or(String::new(), |step| format!(" --step {}", step.name()));
        let folder = quoted(&folder.display().to_string());
        return vec![
            image,
            format!("tamis deploy \"$image\"{words}{shadow}{only} --kustomize {folder} --overwrite"),
            "mkdir -p deploy".to_owned(),
            format!("cp -R {folder} deploy/"),
        ];
    }
    let mut lines = vec![image, "mkdir -p deploy".to_owned()];
    if args.step != Some(StepArg::Enforce) {
        lines.push(format!(
            "tamis deploy \"$image\"{words}{shadow} --dry-run --step shadow > deploy/1-shadow.yaml"
        ));
    }
    if args.step != Some(StepArg::Shadow) {
        lines.push(format!("tamis manifest \"$image\"{words} > deploy/2-enforce.yaml"));
    }
    lines
}

/// The command line once more, without what the pipeline itself says.
fn words(args: &ManifestArgs) -> Vec<String> {
    // Named one by one, so that a new argument cannot be forgotten.
    let ManifestArgs {
        reference: _,
        layout: _,
        kind,
        name,
        namespace,
        target,
        selector,
        target_ref,
        scope,
        config,
        root_id,
        phase,
        priority,
        policy,
        pull_secret,
        env,
        context,
        code_file,
        code_url,
        code_cluster,
        verify,
        remote: connection,
    } = args;
    let mut words = Vec::new();
    let mut say = |flag: &str, value: Option<String>| {
        words.extend(value.map(|value| format!("--{flag} {}", quoted(&value))));
    };
    let pair = |(key, value): &(String, String)| Some(format!("{key}={value}"));
    say("kind", Some(word(*kind)));
    say("name", name.clone());
    say("namespace", namespace.clone());
    say("target", target.clone());
    selector.iter().for_each(|label| say("selector", pair(label)));
    target_ref.iter().for_each(|target| say("target-ref", Some(target.to_string())));
    say("scope", scope.map(word));
    say("config", config.clone());
    say("root-id", root_id.clone());
    say("phase", phase.map(word));
    // A number below zero looks like a flag.
    words.extend(priority.map(|n| format!("--priority={n}")));
    let mut say = |flag: &str, value: Option<String>| {
        words.extend(value.map(|value| format!("--{flag} {}", quoted(&value))));
    };
    say("policy", (*policy != Policy::Closed).then(|| word(*policy)));
    say("pull-secret", pull_secret.clone());
    env.iter().for_each(|variable| say("env", pair(variable)));
    say("context", context.clone());
    say("code-file", code_file.clone());
    say("code-url", code_url.clone());
    say("code-cluster", code_cluster.clone());
    say("verify", verify.as_deref().map(shown));
    remote(connection, &mut words);
    words
}

fn remote(args: &RemoteArgs, words: &mut Vec<String>) {
    // Logins come from the pipeline's own settings.
    let RemoteArgs { plain_http, ca_file, cert_file, key_file, username: _, password_stdin: _ } = args;
    if *plain_http {
        words.push("--plain-http".to_owned());
    }
    for (flag, path) in [("ca-file", ca_file), ("cert-file", cert_file), ("key-file", key_file)] {
        words.extend(path.as_deref().map(|path| format!("--{flag} {}", quoted(&shown(path)))));
    }
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

fn word<T: ValueEnum>(value: T) -> String {
    value.to_possible_value().map_or_else(String::new, |v| v.get_name().to_owned())
}

/// A word for a POSIX shell.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@,+%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{Verb, parse};

    fn args(line: &[&str]) -> DeployArgs {
        let line = ["tamis", "deploy", "r.example/f"].into_iter().chain(line.iter().copied());
        match parse(line.map(Into::into)).unwrap().verb {
            Verb::Deploy(args) => *args,
            other => panic!("{other:?}"),
        }
    }

    /// What a shell makes of it.
    fn split(words: &str) -> Vec<String> {
        let output = std::process::Command::new("sh")
            .args(["-c", &format!("for w in {words}; do printf '%s\\0' \"$w\"; done")])
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        text.split_terminator('\0').map(str::to_owned).collect()
    }

    #[test]
    fn the_command_line_comes_through_a_shell_as_it_was() {
        let given = args(&[
            "--kind",
            "traffic-extension",
            "--name",
            "n",
            "--namespace",
            "shop",
            "--target",
            "istio@1.30",
            "--selector",
            "a=b c",
            "--selector",
            "d=$e",
            "--config",
            r#"{"a":"it's `x` \"y\""}"#,
            "--root-id",
            "",
            "--phase",
            "authz",
            "--priority",
            "-5",
            "--policy",
            "open",
            "--pull-secret",
            "s",
            "--env",
            "A=b=c",
            "--code-url",
            "https://x/y?z&a",
            "--code-cluster",
            "c",
            "--verify",
            "my key.pub",
            "--context",
            "*",
            "--scope",
            "mesh",
            "--target-ref",
            "Gateway/a",
            "--target-ref",
            "X.y.z/b/c",
            "--plain-http",
            "--ca-file",
            "ca.pem",
            "--cert-file",
            "c",
            "--key-file",
            "k",
        ]);
        let words = split(&words(&given.manifest).join(" "));
        let again = args(&words.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(format!("{:?}", again.manifest), format!("{:?}", given.manifest));
    }
}
