// The browsable API: reads /openapi.json, writes each operation down and lets it be tried.
"use strict";

const el = (name, attributes = {}, ...children) => {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key in node && key !== "list") node[key] = value;
    else node.setAttribute(key, value);
  }
  node.append(...children.filter((child) => child !== null));
  return node;
};

let description;

const resolve = (schema) =>
  schema && schema.$ref ? description.components.schemas[schema.$ref.split("/").pop()] : schema || {};

const nameOf = (schema) => {
  if (!schema) return "";
  if (schema.$ref) return schema.$ref.split("/").pop();
  const choices = schema.anyOf || schema.oneOf;
  if (choices) return choices.map(nameOf).join(" | ");
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(" | ");
  if (schema.type === "array") return `[${(schema.prefixItems || [schema.items]).map(nameOf).join(", ")}]`;
  return schema.type || "any";
};

// An example of a schema's shape; the depth is bounded because a schema may hold itself.
const example = (schema, depth = 0) => {
  if (depth > 5) return null;
  const found = resolve(schema);
  if (found.default !== undefined) return found.default;
  const choices = found.anyOf || found.oneOf;
  if (choices) return example(choices.find((choice) => choice.type !== "null") || choices[0], depth + 1);
  if (found.enum) return found.enum[0];
  switch (found.type) {
    case "object":
      return Object.fromEntries(
        Object.entries(found.properties || {}).map(([key, value]) => [key, example(value, depth + 1)]),
      );
    case "array":
      return found.items ? [example(found.items, depth + 1)] : [];
    case "string":
      return "";
    case "integer":
    case "number":
      return 0;
    case "boolean":
      return false;
    default:
      return null;
  }
};

const fields = (schema) => {
  const found = resolve(schema);
  const properties = Object.entries(found.properties || {});
  if (!properties.length) return el("p", {}, el("code", {}, nameOf(schema)));
  const needed = new Set(found.required || []);
  return el(
    "table",
    {},
    ...properties.map(([key, value]) =>
      el(
        "tr",
        {},
        el("td", {}, el("code", {}, key), needed.has(key) ? "" : " (optional)"),
        el("td", {}, el("code", {}, nameOf(value))),
        el("td", {}, value.description || ""),
      ),
    ),
  );
};

const anchor = (operation) => `op-${operation.operationId}`;

const attempt = (path, method, operation) => {
  const inputs = new Map();
  const form = el("form", { className: "try" });
  for (const parameter of operation.parameters || []) {
    const input = el("input", { name: parameter.name, required: parameter.required });
    if (parameter.schema && parameter.schema.default !== undefined) input.placeholder = String(parameter.schema.default);
    inputs.set(parameter, input);
    form.append(el("label", {}, `${parameter.name} (${parameter.in}, ${nameOf(parameter.schema)})`, input));
  }
  let body = null;
  if (operation.requestBody) {
    const schema = operation.requestBody.content["application/json"].schema;
    body = el("textarea", { ariaLabel: "JSON body", spellcheck: false, value: JSON.stringify(example(schema), null, 2) });
    form.append(body);
  }
  const answer = el("pre", { hidden: true, tabIndex: 0 });
  form.append(el("button", { type: "submit" }, "Try it"), answer);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    answer.hidden = false;
    answer.textContent = "…";
    try {
      answer.textContent = await send(path, method, inputs, body);
    } catch (error) {
      answer.textContent = String(error);
    }
  });
  return form;
};

const send = async (path, method, inputs, body) => {
  const query = new URLSearchParams();
  const headers = {};
  let address = path;
  for (const [parameter, input] of inputs) {
    if (input.value === "") continue;
    if (parameter.in === "path") address = address.replace(`{${parameter.name}}`, encodeURIComponent(input.value));
    else if (parameter.in === "query") query.set(parameter.name, input.value);
    else headers[parameter.name] = input.value;
  }
  const token = document.getElementById("token").value.trim();
  if (token) headers.Authorization = `Bearer ${token}`;
  if (body) headers["Content-Type"] = "application/json";
  const stop = new AbortController();
  // A stream has no end: show what came in the first seconds.
  const timer = setTimeout(() => stop.abort(), 5000);
  const response = await fetch(query.size ? `${address}?${query}` : address, {
    method,
    headers,
    body: body ? body.value : undefined,
    signal: stop.signal,
  });
  const head = `${response.status} ${response.statusText} · ${response.headers.get("content-type") || ""}\n\n`;
  const reader = response.body ? response.body.getReader() : null;
  const decoder = new TextDecoder();
  let text = "";
  try {
    while (reader && text.length < 20000) {
      const { done, value } = await reader.read();
      if (done) break;
      text += decoder.decode(value, { stream: true });
    }
  } catch (error) {
    if (error.name !== "AbortError") throw error;
  } finally {
    clearTimeout(timer);
    stop.abort();
  }
  const shown = text.slice(0, 20000);
  try {
    return head + JSON.stringify(JSON.parse(shown), null, 2);
  } catch {
    return head + shown;
  }
};

const answers = (operation) =>
  el(
    "table",
    {},
    ...Object.entries(operation.responses).map(([status, response]) => {
      const [kind, content] = Object.entries(response.content || {})[0] || ["", {}];
      return el(
        "tr",
        {},
        el("td", {}, el("code", {}, status)),
        el("td", {}, response.description),
        el("td", {}, el("code", {}, [kind, nameOf(content.schema)].filter(Boolean).join(" · "))),
      );
    }),
  );

const show = (path, method, operation) => {
  const body = el("div", { className: "body" });
  const details = el(
    "details",
    { className: "operation", id: anchor(operation) },
    el(
      "summary",
      {},
      el("span", { className: `method ${method}` }, method),
      el("code", {}, path),
      el("span", {}, operation.summary),
      el("span", { className: "needs" }, operation.security.length ? `needs ${operation["x-permission"]}` : "public"),
    ),
    body,
  );
  details.addEventListener(
    "toggle",
    () => {
      if (operation.description) body.append(el("p", {}, operation.description));
      if (operation.requestBody) {
        body.append(el("h3", {}, "Body"), fields(operation.requestBody.content["application/json"].schema));
      }
      const [status, success] = Object.entries(operation.responses).find(([code]) => code.startsWith("2")) || [];
      const content = success && Object.values(success.content || {})[0];
      if (content && content.schema && content.schema.$ref) body.append(el("h3", {}, `Answer ${status}`), fields(content.schema));
      body.append(el("h3", {}, "Statuses"), answers(operation), el("h3", {}, "Try"), attempt(path, method, operation));
    },
    { once: true },
  );
  return details;
};

const draw = () => {
  const word = document.getElementById("find").value.toLowerCase();
  const main = document.getElementById("operations");
  const contents = document.getElementById("contents");
  main.replaceChildren();
  contents.replaceChildren();
  for (const { name } of description.tags) {
    const found = [];
    for (const [path, item] of Object.entries(description.paths)) {
      for (const [method, operation] of Object.entries(item)) {
        const text = `${method} ${path} ${operation.summary}`.toLowerCase();
        if (operation.tags.includes(name) && text.includes(word)) found.push([path, method.toUpperCase(), operation]);
      }
    }
    if (!found.length) continue;
    main.append(el("h2", {}, name), ...found.map((row) => show(...row)));
    contents.append(
      el("h2", {}, name),
      ...found.map(([path, method, operation]) => el("a", { href: `#${anchor(operation)}` }, `${method} ${path}`)),
    );
  }
};

const openTarget = () => {
  const target = document.getElementById(location.hash.slice(1));
  if (target instanceof HTMLDetailsElement) target.open = true;
};

fetch("/openapi.json")
  .then((response) => response.json())
  .then((document_) => {
    description = document_;
    document.getElementById("version").textContent = description.info.version;
    document.getElementById("about").textContent = description.info.description;
    document.getElementById("find").addEventListener("input", draw);
    document.getElementById("access").addEventListener("submit", (event) => event.preventDefault());
    window.addEventListener("hashchange", openTarget);
    draw();
    openTarget();
  })
  .catch((error) => {
    document.getElementById("operations").textContent = `The description could not be read: ${error}`;
  });
