// A client as a page or a server has it: types from the description, fetched with
// what a token says. It prints a line for each token of the command line.
import createClient from "openapi-fetch";
import type { components, paths } from "./description.js";

declare const process: { argv: string[] };

const [url, ...tokens] = process.argv.slice(2);
const api = createClient<paths>({ baseUrl: url ?? "" });

function describe(document: components["schemas"]["Export"]): string {
  const sandbox = document.sandboxes[0];
  const verified: string | null = document.user.email_verified_at;
  const hours: number = document.quota_tier.daily_gb_hours;
  const metadata: { [key: string]: unknown } = sandbox?.metadata ?? {};
  return `${document.user.email} ${document.sandboxes.length} ${sandbox?.status} ${verified} ${hours} ${Object.keys(metadata).length}`;
}

for (const token of tokens) {
  const { data, error, response } = await api.GET("/v1/account/export", {
    headers: { Authorization: `Bearer ${token}` },
    params: { query: { min_position: "1" }, header: { Prefer: "wait=1" } },
  });
  if (data !== undefined) {
    console.log(`${response.status} ${describe(data)} ${response.headers.get("ETag")}`);
  } else if (error === undefined) {
    console.log(`${response.status}`); // 304
  } else {
    const problem: components["schemas"]["Problem"] = error;
    console.log(`${problem.status} ${problem.type} ${problem.missing?.join(",") ?? ""} ${response.headers.get("Retry-After")}`);
  }
}
