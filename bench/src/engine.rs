//! An engine helper that measurements talk to in SQL, to see what answers cost and what they are worth.

use std::{fs, net::SocketAddr, path::Path, time::Duration};

use crate::{
    Result,
    client::Client,
    process::{Process, cpu, resident},
};

/// A running helper. Killed when dropped.
pub struct Engine {
    process: Process,
    address: SocketAddr,
}

impl Engine {
    /// Starts the helper on a folder of data, with at most this much memory, bytes.
    pub async fn start(program: &Path, data: &Path, memory: u64) -> Result<Engine> {
        fs::create_dir_all(data)?;
        let address = crate::process::free_address()?;
        let args = ["serve", "--path", &data.display().to_string(), "--listen", &address.to_string(), "--max-memory", &memory.to_string()];
        let log = data.with_extension("log");
        let process = Process::start(program, &args.map(str::to_owned), "listening", &log).await?;
        Ok(Engine { process, address })
    }

    /// URL of its HTTP interface.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// CPU time so far.
    pub fn cpu(&self) -> Duration {
        cpu(self.process.pid())
    }

    /// Resident memory, bytes.
    pub fn resident(&self) -> u64 {
        resident(self.process.pid())
    }

    /// Runs one statement in the database `monitor`; the answer as tab separated lines.
    pub async fn sql(&self, statement: &str) -> Result<String> {
        let path = "/?database=monitor&max_execution_time=3600&use_query_cache=0&use_query_condition_cache=0";
        let body = statement.to_owned().into();
        let (status, answer) = Client::new(self.address).post(path, "text/plain", body, Duration::from_secs(3_600)).await?;
        let answer = String::from_utf8_lossy(&answer).trim_end().to_owned();
        if status == 200 { Ok(answer) } else { Err(format!("{answer}, asked: {statement}").into()) }
    }

    /// The one number that a statement answers with.
    pub async fn number(&self, statement: &str) -> Result<f64> {
        let answer = self.sql(statement).await?;
        answer.parse().map_err(|_| format!("{answer:?} is not a number, asked: {statement}").into())
    }

    /// Ends in order: the log is written, nothing has to be repaired at the next start.
    pub async fn stop(mut self) -> Result<()> {
        self.process.terminate()?;
        self.process.wait(Duration::from_secs(60)).await?;
        Ok(())
    }
}
