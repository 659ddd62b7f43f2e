// Starts `kv --dev`, types what it prints, and watches its page in a real browser: see README.md.
//
//     node page.mjs PATH_OF_KV [FOLDER_FOR_SCREENSHOTS]
//
// It needs `playwright-core` from npm, `curl`, and a Chromium, which CHROMIUM names. The exit code
// is 1 if anything is not as it should be.

import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { chromium } from "playwright-core";

const [kv, shots = "."] = process.argv.slice(2);
if (!kv) {
  console.error("usage: node page.mjs PATH_OF_KV [FOLDER_FOR_SCREENSHOTS]");
  process.exit(2);
}
const port = String(20_000 + (process.pid % 20_000));
const folder = mkdtempSync(join(tmpdir(), "kv-page-"));
const cluster = spawn(resolve(kv), ["--dev", "--port", port, "--dir", folder]);
let printed = "";
cluster.stdout.on("data", (data) => { printed += data; });
cluster.stderr.on("data", (data) => { printed += data; });

let bad = 0;
function expect(holds, what) {
  console.log(`  ${holds ? "ok" : "FAILED"}  ${what}`);
  bad += holds ? 0 : 1;
}

const pause = (ms) => new Promise((done) => setTimeout(done, ms));

/** Waits until it is so: 20 seconds at most. */
async function until(what, holds) {
  for (let turn = 0; turn < 200; turn += 1) {
    if (await holds()) return expect(true, what);
    await pause(100);
  }
  expect(false, what);
}

/** The line under this name, as `--dev` has printed it. */
function line(name) {
  const found = printed.split("\n").find((text) => text.trimStart().startsWith(name));
  if (!found) throw new Error(`nothing is printed under "${name}":\n${printed}`);
  return found.trimStart().slice(name.length).trim();
}

/** Types it into a shell. */
const type = (command) =>
  execFileSync("sh", ["-c", command], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] });

/** The process of a node. */
const pid = (id) => Number(type(`pgrep -f -- '--id ${id} --dir ${folder}' | head -1`));

const quiet = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
  "--disable-background-networking", "--disable-component-update", "--disable-sync"];
const executablePath = process.env.CHROMIUM ?? "/usr/bin/chromium";
const browser = await chromium.launch({ executablePath, args: quiet });
const started = [];
try {
  await until("three nodes start, and it is printed what can be done",
    () => printed.includes("Ctrl-C"));
  const page = await browser.newPage({ viewport: { width: 1200, height: 800 } });
  page.on("pageerror", (error) => expect(false, `no error: ${error.message}`));
  page.on("request", (request) => {
    if (!request.url().startsWith("http://127.0.0.1:")) expect(false, `asks ${request.url()}`);
  });
  await page.goto(line("see them"));
  const cards = () => page.locator("article");
  const card = (id) => page.locator(`article[data-node="${id}"]`);
  const says = async (id) => (await card(id).count()) === 1 ? card(id).innerText() : "";
  const leads = async (id) => (await card(id).getAttribute("class")) === "leader";
  const leaders = () => page.locator("article.leader").count();
  await until("the page shows three nodes, one of which leads",
    async () => (await cards().count()) === 3 && (await leaders()) === 1);

  expect(type(line("write")).includes("done"), "the line that writes");
  expect(type(line("read")) === "hello", "the line that reads, at another node");
  expect(type(line("by lease")) === "hello", "by lease");
  expect(type(line("stale")) === "hello", "and stale");
  expect(type(line("append")).includes("length"), "the line that appends");
  expect(JSON.parse(type(line("session"))).session === 0, "the line that opens a session");
  const once = type(line("once in it"));
  expect(once.includes("length") && type(line("once in it")) === once, "once, however often");
  expect(type(line("metrics")).includes("# HELP"), "the line for metrics");
  expect(JSON.parse(type(line("status"))).id === 1, "the line for the status");
  expect(type(line("snapshot")).includes("done"), "the line that takes a snapshot");
  await until("there is a snapshot of node 1", () =>
    readdirSync(join(folder, "node-1", "snapshots")).some((name) => name.endsWith(".snapshot")));

  const led = await leads(2);
  expect(type(line(led ? "hand over" : "to node 2")).includes("done"), "the line that hands over");
  await until("another node leads", async () =>
    (await leaders()) === 1 && (await leads(2)) !== led);
  await page.screenshot({ path: join(shots, "page-three.png") });

  // The command that starts node 4 ends in `&`: the shell leaves it behind.
  type(line("add a node").replace("2>/dev/null &", ">/dev/null 2>&1 &"));
  started.push(4);
  const fourth = `http://127.0.0.1:${Number(port) + 103}/status`;
  await until("a fourth node runs", () =>
    fetch(fourth).then((answer) => answer.json()).then(({ id }) => id === 4).catch(() => false));
  const adds = printed.split("\n").find((text) => text.includes("/nodes/4?"));
  expect(type(adds).includes("done"), "the line that adds it");
  await until("the page shows it as a learner",
    async () => (await says(4)).includes("learner"));
  expect(type(line("as a voter")).includes("done"), "the line that gives it a vote");
  await until("the page shows four voters", async () => /voters 1, 2, 3, 4/.test(await says(1)));
  await page.screenshot({ path: join(shots, "page-four.png") });

  // Who is held does not answer, and the others lead on.
  const held = (await leads(3)) ? 2 : 3;
  process.kill(pid(held), "SIGSTOP");
  const silent = async () => (await says(held)).includes("does not answer");
  await until("the page shows that a node which is held does not answer", silent);
  expect(type(line("write")).includes("done"), "the others take writes");
  await page.screenshot({ path: join(shots, "page-held.png") });
  process.kill(pid(held), "SIGCONT");
  await until("it is back", async () => !(await silent()));

  expect(type(line("remove it")).includes("done"), "the line that removes the fourth");
  process.kill(pid(4), "SIGKILL");
  started.pop();
  await until("the page forgets it", async () => (await cards().count()) === 3);
  expect(type(line("delete")).includes("done"), "the line that deletes");
  await page.emulateMedia({ colorScheme: "dark" });
  await pause(600);
  await page.screenshot({ path: join(shots, "page-dark.png") });
} catch (error) {
  expect(false, String(error));
} finally {
  for (const id of started) process.kill(pid(id), "SIGKILL");
  await browser.close();
  cluster.kill("SIGINT");
  await new Promise((done) => cluster.on("exit", done));
  const inOrder = printed.includes("node 3 has stopped") && !printed.includes("not in order");
  expect(inOrder, "Ctrl-C stops all in order");
  rmSync(folder, { recursive: true });
}
console.log(bad === 0 ? "all as it should be" : `${bad} failed`);
process.exit(bad === 0 ? 0 : 1);
