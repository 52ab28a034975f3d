package localca

import (
	"fmt"
	"io"
	"net/http"
	"strconv"

	"github.com/mdp/qrterminal/v3"
)

// CertificatePath is where a node offers the authority's certificate.
const CertificatePath = "/ca.crt"

// ServeHTTP offers the authority's certificate for import on a device. It is no
// secret, and must be offered over plain HTTP too: before the import a device
// trusts nothing else.
func (a *Authority) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	data := a.PEM()
	w.Header().Set("Content-Type", "application/x-x509-ca-cert")
	w.Header().Set("Content-Disposition", `attachment; filename="serverlessvideo-ca.crt"`)
	w.Header().Set("Content-Length", strconv.Itoa(len(data)))
	w.Header().Set("Cache-Control", "no-cache")
	_, _ = w.Write(data) // a client that has gone away needs no answer
}

// Welcome tells people at the terminal how to open the broadcast page on a
// phone: base is where the node is reached by HTTPS, such as
// https://192.168.1.20:8443. The QR code is drawn when drawn is set.
func Welcome(w io.Writer, base string, drawn bool) {
	page := base + "/broadcast"
	fmt.Fprintf(w, "\nBroadcast from a phone in this network: %s\n", page)
	if drawn {
		qrterminal.GenerateHalfBlock(page, qrterminal.M, w)
	}
	fmt.Fprintf(w, `The phone warns once, because this machine signs for itself: choose "Advanced" or "Details" and go on.
To be rid of the warning, open %s%s on the phone and install the certificate:
  Android: Settings, Security, Encryption and credentials, Install a certificate, CA certificate.
  iPhone, iPad: Settings, Profile Downloaded, Install; then General, About, Certificate Trust Settings, and switch it on.

`, base, CertificatePath)
}
