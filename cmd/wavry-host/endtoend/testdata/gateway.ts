// A gateway in TypeScript, with the types that openapi-typescript makes of the document. It is compiled, not run.
import type { components, operations, paths } from "./host";

type Host = components["schemas"]["Host"];
type Event = components["schemas"]["Event"];
type Problem = components["schemas"]["Problem"];
type Body<O extends keyof operations> = operations[O] extends { requestBody: { content: { "application/json": infer B } } } ? B : never;
type Answer<O extends keyof operations, S extends number> =
  operations[O]["responses"] extends { [s in S]: { content: { "application/json": infer A } } } ? A : never;

async function call<A>(path: keyof paths, init?: RequestInit): Promise<A> {
  const answer = await fetch(path, init);
  if (!answer.ok) {
    const problem: Problem = await answer.json();
    throw new Error(`${problem.code}: ${problem.detail} (${problem.request_id})`);
  }
  return answer.json();
}

export async function open(sdp: string): Promise<string> {
  const host = await call<Host>("/v1/host");
  if (host.state !== "active" || !host.features.includes("grants")) {
    throw new Error(host.state_reason);
  }
  const body: Body<"createSession"> = { sdp, subject: "ann", external_id: "job-4711", labels: { team: "cad" } };
  const made = await call<Answer<"createSession", 201>>("/v1/sessions", { method: "POST", body: JSON.stringify(body) });
  const list: Answer<"listSessions", 200> = await call("/v1/sessions");
  list.sessions.map((one) => one.labels?.team);
  return made.viewer_token ?? made.sdp;
}

export const filter: operations["followEvents"]["parameters"]["query"] = {
  kind: ["session_ended", "refused"], label: ["team=cad"],
};

export function seconds(event: Event): number {
  switch (event.kind) {
    case "session_ended":
      return event.totals?.connected_seconds ?? 0;
    case "quality_changed":
      return event.transition.dwell_seconds;
    default:
      return 0;
  }
}

// @ts-expect-error A request has no other fields than those of the document.
export const misspelt: Body<"createSession"> = { sdp: "", displays: "x11:0" };
// @ts-expect-error The words of enumerations are known.
export const unknown: operations["listSessions"]["parameters"]["query"] = { state: "sleeping" };
