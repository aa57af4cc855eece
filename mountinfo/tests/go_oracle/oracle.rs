//! Go's side: builds the program in tests/go/gosem, and asks it.

use std::io::{BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::OnceLock;

use subpath_mountinfo::Error;
use subpath_mountinfo::internal::GoError;

/// What a function returned, in Go or in Rust.
#[derive(Clone, PartialEq, Eq)]
pub enum Answer {
    Value(Vec<u8>),
    /// A `*fs.PathError`.
    Path {
        op: Vec<u8>,
        path: Vec<u8>,
        errno: u32,
    },
    /// A `syscall.Errno` alone.
    Errno(u32),
    Text(Vec<u8>),
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Answer::Value(value) => write!(f, "value \"{}\"", value.escape_ascii()),
            Answer::Path { op, path, errno } => {
                write!(f, "{} \"{}\": errno {errno}", op.escape_ascii(), path.escape_ascii())
            }
            Answer::Errno(errno) => write!(f, "errno {errno} alone"),
            Answer::Text(text) => write!(f, "error \"{}\"", text.escape_ascii()),
        }
    }
}

impl From<Result<Vec<u8>, Error>> for Answer {
    fn from(result: Result<Vec<u8>, Error>) -> Self {
        let error = match result {
            Ok(value) => return Answer::Value(value),
            Err(error) => error,
        };
        match error.as_go() {
            GoError::Path { op, path, errno } => {
                Answer::Path { op: (*op).into(), path: path.clone(), errno: *errno as u32 }
            }
            GoError::Errno(errno) => Answer::Errno(*errno as u32),
            _ => Answer::Text(error.original_text()),
        }
    }
}

impl From<bool> for Answer {
    fn from(yes: bool) -> Self {
        Answer::Value(yes.to_string().into_bytes())
    }
}

/// A running Go program that answers.
pub struct Oracle {
    child: Child,
    // `None` only while dropping: closing it tells the program to end.
    requests: Option<BufWriter<ChildStdin>>,
    answers: BufReader<ChildStdout>,
}

impl Oracle {
    pub fn start() -> Self {
        Self::run(&mut Command::new(program()))
    }

    /// Starts the program as `command` says.
    pub fn run(command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|e| panic!("cannot start the Go oracle: {e}"));
        let requests = child.stdin.take().map(BufWriter::new);
        let answers = BufReader::new(child.stdout.take().unwrap());
        Oracle { child, requests, answers }
    }

    /// What Go answers to one request.
    pub fn ask(&mut self, op: u8, args: &[&[u8]]) -> Answer {
        self.send(op, args);
        self.receive()
    }

    /// Compares what `ours` returns with what Go does, case by case, in batches.
    pub fn compare<C>(
        &mut self,
        name: &str,
        op: u8,
        cases: impl IntoIterator<Item = C>,
        args: impl for<'c> Fn(&'c C) -> Vec<&'c [u8]>,
        ours: impl Fn(&C) -> Answer,
    ) {
        let mut cases = cases.into_iter();
        loop {
            // Few enough that all answers fit into the pipe: Go never waits for them to be read
            // while requests are still being written.
            let batch: Vec<C> = cases.by_ref().take(64).collect();
            if batch.is_empty() {
                return;
            }
            for case in &batch {
                self.send(op, &args(case));
            }
            for case in &batch {
                let (go, rust) = (self.receive(), ours(case));
                let shown: Vec<_> =
                    args(case).iter().map(|arg| arg.escape_ascii().to_string()).collect();
                assert!(go == rust, "{name}({shown:?}):\n  Go:   {go:?}\n  Rust: {rust:?}");
            }
        }
    }

    fn send(&mut self, op: u8, args: &[&[u8]]) {
        let out = self.requests.as_mut().unwrap();
        let count = u8::try_from(args.len()).unwrap();
        out.write_all(&[op, count]).unwrap();
        for arg in args {
            out.write_all(&u32::try_from(arg.len()).unwrap().to_le_bytes()).unwrap();
            out.write_all(arg).unwrap();
        }
    }

    fn receive(&mut self) -> Answer {
        self.requests.as_mut().unwrap().flush().unwrap();
        let mut kind = [0];
        self.answers.read_exact(&mut kind).expect("the Go oracle ended early");
        let errno = self.number();
        let mut text = vec![0; self.number() as usize];
        self.answers.read_exact(&mut text).unwrap();
        match kind[0] {
            b'v' => Answer::Value(text),
            b'n' => Answer::Errno(errno),
            b't' => Answer::Text(text),
            b'p' => {
                let nul = text.iter().position(|&b| b == 0).unwrap();
                Answer::Path { op: text[..nul].to_vec(), path: text[nul + 1..].to_vec(), errno }
            }
            other => panic!("the Go oracle sent an answer of kind {other}"),
        }
    }

    fn number(&mut self) -> u32 {
        let mut bytes = [0; 4];
        self.answers.read_exact(&mut bytes).unwrap();
        u32::from_le_bytes(bytes)
    }
}

impl Drop for Oracle {
    fn drop(&mut self) {
        drop(self.requests.take());
        let _ = self.child.wait();
    }
}

/// The program, built once for all tests.
pub fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/go/gosem");
        let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join("gosem");
        let status = Command::new("go")
            .args(["build", "-o"])
            .arg(&program)
            .arg(".")
            .current_dir(&source)
            // The module stands alone, whatever workspace or flags surround it.
            .env("GOWORK", "off")
            .env("GOFLAGS", "")
            .env("CGO_ENABLED", "0")
            .status()
            .unwrap_or_else(|e| {
                panic!("these tests compare with Go and need its `go` command: cannot run it: {e}")
            });
        assert!(status.success(), "go build in {} failed: {status}", source.display());
        program
    })
}
