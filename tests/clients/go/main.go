// One recipient's day by Twilio's own client for Go. The test on the other side texts STOP and START
// when this prints so, and answers with a line.
//
// twilio.RestClient would do; only these two of its many packages are built here.
package main

import (
	"bufio"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"time"

	"github.com/twilio/twilio-go/client"
	api "github.com/twilio/twilio-go/rest/api/v2010"
	messaging "github.com/twilio/twilio-go/rest/messaging/v1"
)

// rewrite sends what is meant for Twilio's hosts to another one.
type rewrite struct{ base *url.URL }

func (r rewrite) RoundTrip(request *http.Request) (*http.Response, error) {
	request.URL.Scheme, request.URL.Host, request.Host = r.base.Scheme, r.base.Host, r.base.Host
	return http.DefaultTransport.RoundTrip(request)
}

func pointedAt(base string) *client.RequestHandler {
	to, err := url.Parse(base)
	check(err)
	account := os.Getenv("ACCOUNT_SID")
	own := &client.Client{
		Credentials: client.NewCredentials(account, os.Getenv("AUTH_TOKEN")),
		HTTPClient:  &http.Client{Transport: rewrite{to}},
	}
	own.SetAccountSid(account)
	return client.NewRequestHandler(own)
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func want(holds bool, what string) {
	if !holds {
		check(errors.New(what))
	}
}

var answers = bufio.NewScanner(os.Stdin)

func ask(word string) {
	fmt.Println(word)
	want(answers.Scan() && answers.Text() == "done", "not answered")
}

func main() {
	handler := pointedAt(os.Getenv("OPTOUT_API"))
	apiV2010, messagingV1 := api.NewApiService(handler), messaging.NewApiService(handler)
	sender, recipient := os.Getenv("SENDER"), os.Getenv("RECIPIENT")

	number, err := apiV2010.CreateIncomingPhoneNumber(
		(&api.CreateIncomingPhoneNumberParams{}).SetPhoneNumber(sender))
	check(err)
	service, err := messagingV1.CreateService(
		(&messaging.CreateServiceParams{}).SetFriendlyName("From Go"))
	check(err)
	pooled, err := messagingV1.CreatePhoneNumber(*service.Sid,
		(&messaging.CreatePhoneNumberParams{}).SetPhoneNumberSid(*number.Sid))
	check(err)
	want(*pooled.PhoneNumber == sender, "the number is not in the pool")
	listed, err := messagingV1.ListService(&messaging.ListServiceParams{})
	check(err)
	want(len(listed) == 1, "not one service is listed")

	send := func() string {
		message, err := apiV2010.CreateMessage((&api.CreateMessageParams{}).SetTo(recipient).
			SetMessagingServiceSid(*service.Sid).SetBody("Your appointment is tomorrow."))
		check(err)
		want(*message.Status == "accepted", "not accepted")
		return *message.Sid
	}
	becomes := func(sid string, status string) *api.ApiV2010Message {
		for tries := 0; tries < 600; tries++ {
			message, err := apiV2010.FetchMessage(sid, &api.FetchMessageParams{})
			check(err)
			if *message.Status == status {
				return message
			}
			time.Sleep(100 * time.Millisecond)
		}
		check(fmt.Errorf("%s did not become %s", sid, status))
		return nil
	}

	ask("STOP")
	refused := becomes(send(), "failed")
	want(*refused.ErrorCode == 21610, "not failed with 21610")
	ask("START")
	allowed := send()
	ask("SENT")
	becomes(allowed, "sent")
	messages, err := apiV2010.ListMessage((&api.ListMessageParams{}).SetTo(recipient))
	check(err)
	want(len(messages) == 2, "not two messages are listed")
	check(messagingV1.DeleteService(*service.Sid))
	_, err = messagingV1.FetchService(*service.Sid)
	var gone *client.TwilioRestError
	want(errors.As(err, &gone) && gone.Code == 20404 && gone.Status == 404, "still there")
	fmt.Println("OK")
}
