// Shows the API description with Swagger UI, whose files the service serves itself.
const target = document.getElementById("swagger");
const dark = window.matchMedia("(prefers-color-scheme: dark)");

/** Leave out what the page says already, and links within buttons: opening an operation sets the address. */
const pagePlugin = ({ React }) => ({
  components: {
    InfoContainer: () => null,
    DeepLink: ({ text }) => React.createElement("span", null, text),
  },
});

/** Add the labels and roles that Swagger UI leaves out, for screen readers and the keyboard. */
function addLabels() {
  for (const control of target.querySelectorAll("select:not([aria-label]), textarea:not([aria-label])")) {
    const name = control.closest("[data-param-name]")?.dataset.paramName;
    control.setAttribute("aria-label", name ?? (control.matches("textarea") ? "Request body" : "Media type"));
  }
  for (const input of target.querySelectorAll("input:not([aria-label], [id])")) {
    input.setAttribute("aria-label", input.closest("[data-param-name]")?.dataset.paramName ?? "Value");
  }
  for (const button of target.querySelectorAll(".copy-to-clipboard > button:not([aria-label])")) {
    button.setAttribute("aria-label", "Copy to the clipboard");
  }
  for (const example of target.querySelectorAll("pre:not([tabindex])")) example.tabIndex = 0;
  for (const table of target.querySelectorAll("table[role=region]")) table.setAttribute("role", "table");
}

function applyColorScheme() {
  document.documentElement.classList.toggle("dark-mode", dark.matches);
}

new MutationObserver(addLabels).observe(target, { childList: true, subtree: true });
dark.addEventListener("change", applyColorScheme);
applyColorScheme();
window.SwaggerUIBundle({
  domNode: target,
  url: target.dataset.url,
  deepLinking: true,
  docExpansion: "list",
  validatorUrl: null,
  plugins: [pagePlugin],
  persistAuthorization: false,
  // Without a token, requests are made by whoever is signed in, and carry the secret of the page.
  requestInterceptor: (request) => {
    const secret = document.querySelector('meta[name="csrf-token"]')?.content;
    if (secret && !request.headers.Authorization) request.headers["X-CSRF-Token"] = secret;
    return request;
  },
});
