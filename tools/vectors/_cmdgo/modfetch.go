package modfetch

import (
	"reflect"
	"sync"

	"cmd/go/internal/cfg"
)

// This file is built as part of the go command's package modfetch: see ../build-cmdgo.

// OracleProxies says how the go command reads a GOPROXY.
func OracleProxies(goproxy string) ([]string, error) {
	cfg.GOPROXY, cfg.GONOPROXY = goproxy, ""
	proxyOnce.Once, proxyOnce.list, proxyOnce.err = sync.Once{}, nil, nil
	list, err := proxyList()
	if err != nil {
		return nil, err
	}
	var out []string
	for _, spec := range list {
		separator := ","
		if spec.fallBackOnError {
			separator = "|"
		}
		out = append(out, separator+spec.url)
	}
	return out, nil
}

// OracleDatabase says how the go command reads a GOSUMDB.
func OracleDatabase(gosumdb string) ([]string, error) {
	cfg.GOSUMDB = gosumdb
	name, client, err := dbDial()
	if err != nil {
		return nil, err
	}
	ops := reflect.ValueOf(client).Elem().FieldByName("ops").Elem().Elem()
	hasURL := "1"
	if ops.FieldByName("base").IsNil() {
		hasURL = "0"
	}
	return []string{name, ops.FieldByName("key").String(), hasURL}, nil
}
